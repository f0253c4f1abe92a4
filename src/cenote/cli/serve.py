"""cenote serve: one collection over HTTP, with a page to search it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.arguments import Directory, Ray
from cenote.cli.terminal import TERMINAL

_NEEDED = ("fastapi", "uvicorn", "prometheus_client")


def serve(
    directory: Directory,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="The address to listen on; by default this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="F", help="Ask clients for the token in this file.")
    ] = None,
    ray: Ray = None,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --ray: share the segments out to N processes; default: a machine."),
    ] = None,
) -> None:
    """Serve a collection: a page, searches, additions, and embeddings in the shape of OpenAI's interface."""
    installed()
    # searches, additions and encodings compute in threads of their own; one that waits by spinning would take a core
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # additions are written by threads that come and go, and Arrow's own allocator keeps what it set apart for each:
    # 15 MiB a minute under load, all of it free
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from cenote.serve.running import loopback, run

    token = None if token_file is None else _token(token_file)
    if token is None and not loopback(host):
        TERMINAL.message(f"whoever reaches {host} may search, add and delete; --token-file F asks them for a token")

    def ready(address: str) -> None:
        TERMINAL.message(f"{directory} is served at {address} (stop it with Ctrl-C)")

    if ray is None:
        if replicas is not None:
            raise ValueError(f"--replicas {replicas} needs a cluster; name one with --ray ADDRESS")
        run(directory, host, port, token=token, ready=ready)
        return
    from cenote.serve.cluster import replicated

    with replicated(directory, ray, replicas) as opener:
        run(directory, host, port, token=token, ready=ready, opener=opener)


def installed() -> None:
    """Raise ValueError, saying what to install, where the extra is missing."""
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(f'serving needs {" and ".join(missing)}; install it with: pip install "cenote[serve]"')


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not plain ASCII"
        raise ValueError(f"--token-file {file} cannot be read: {reason}") from None
    if not token or any(character.isspace() for character in token):
        raise ValueError(f"--token-file {file} must hold one word, the token, and nothing else")
    return token
