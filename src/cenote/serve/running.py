"""Serving: a socket, and an end in which what runs is finished."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from cenote.collection.snapshot import Opener
from cenote.index.opening import open_index
from cenote.serve import limits
from cenote.serve.asgi import application
from cenote.serve.gate import LOOPBACK
from cenote.serve.patience import PatientProtocol
from cenote.serve.service import Service

_FINISH_SECONDS = 30
_BACKLOG = 128


def run(
    directory: str | Path,
    host: str,
    port: int,
    *,
    token: str | None,
    ready: Callable[[str], None],
    opener: Opener = open_index,
) -> None:
    """Serve a collection until SIGTERM or SIGINT; `ready` is told the address once it answers. opener: see `Service`.

    Raises ValueError where there is no collection, or the address cannot be had.
    """
    with Service(directory, opener) as service, bound(host, port) as listening:
        service.warm()
        hosts = LOOPBACK | {_shown(host)} if token is None and loopback(host) else None
        listen(application(service, token=token, hosts=hosts), listening, host, ready)


def listen(app: FastAPI, listening: socket.socket, host: str, ready: Callable[[str], None]) -> None:
    """Answer what comes to a socket until SIGTERM or SIGINT; what runs then is finished."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.CONNECTIONS,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )
    server = _Server(config, lambda: ready(f"http://{_shown(host)}:{listening.getsockname()[1]}"))
    # uvicorn finishes what runs, and then raises the signal once more
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        server.run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


def loopback(host: str) -> bool:
    """Whether only this machine can call a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises ValueError where the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        hint = "name another with --port" if taken else "name another with --host"
        # the socket's own words repeat the address; those of a name that is not known are not the system's
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ValueError(f"{host}:{port} cannot be had ({reason or error}); {hint}") from None


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        await asyncio.to_thread(self._ready)
