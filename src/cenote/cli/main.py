"""The entry: options, commands, and what an error becomes.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from cenote.cli.terminal import TERMINAL, Failed
from cenote.errors import CenoteError, CorruptIndex

COMMANDS = (
    "index",
    "add",
    "delete",
    "get",
    "search",
    "measure",
    "compare",
    "reindex",
    "compact",
    "info",
    "check",
    "encode",
    "export",
    "train",
    "papers",
    "reproduce",
    "demo",
    "serve",
    "judge",
    "mcp",
)
_READS = ("search", "get")
"""Commands that write nothing but their answer."""
_GARBAGE_AFTER = 200_000
"""New objects before Python looks for garbage: what imports make stays, and looking takes a sixth of a cold start."""
_RUST_PLACE = re.compile(r",? \S+\.rs:[\d:]+")
"""Where in its own source Lance met an error, which says nothing to who reads it."""
_ANYWHERE = {"-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose", "--debug": "debug"}


def _version(asked: bool) -> None:
    if asked:
        from cenote import __version__

        print(f"cenote {__version__}")
        raise typer.Exit


def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say results and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Embeddings, pooled: from tokens to the fewest bytes that still find them.

    -q, -v and --debug may also stand behind the command.
    """
    TERMINAL.quiet |= quiet
    TERMINAL.verbose |= verbose
    TERMINAL.debug |= debug


def application(commands: Sequence[str] = COMMANDS) -> typer.Typer:
    """Return the application with some commands, of which alone the modules are imported."""
    app = typer.Typer(
        name="cenote", no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"max_content_width": 100}
    )
    app.callback()(options)
    for name in commands:
        app.command(name)(_through(getattr(importlib.import_module(f"cenote.cli.{name}"), name)))
    return app


class _Interrupted(Exception):
    """An interrupt, on its way past typer."""


class _Unread(Exception):
    """A closed pipe, on its way past typer."""


def _through(command: Callable[..., None]) -> Callable[..., None]:
    """Let typer not see what it would end by itself: it says nothing of an interrupt, and fails for a closed pipe."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as stop:
            raise _Interrupted(str(stop)) from None
        except BrokenPipeError:
            raise _Unread from None

    return run


def _globals(arguments: Sequence[str]) -> list[str]:
    """Take the options that may stand anywhere out of the arguments, up to a `--`."""
    rest: list[str] = []
    TERMINAL.quiet = TERMINAL.verbose = TERMINAL.debug = False
    for n, argument in enumerate(arguments):
        if argument == "--":
            return rest + list(arguments[n:])
        if argument in _ANYWHERE:
            setattr(TERMINAL, _ANYWHERE[argument], True)
        else:
            rest.append(argument)
    return rest


def main(arguments: Sequence[str]) -> int:
    """Run a command line; return its exit code."""
    try:
        rest = _globals(arguments)
        # whatever does not begin with a command, such as --help or a word misspelt, asks about all of them
        asked = rest[:1] if rest and rest[0] in COMMANDS else COMMANDS
        code = application(asked)(args=rest, prog_name="cenote", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (BrokenPipeError, _Unread):
        # whoever read the output has seen enough; nothing must be written to it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, _Interrupted, typer.Abort) as stop:
        TERMINAL.error(f"interrupted; {stop}" if str(stop) else "interrupted")
        return 130
    except Exception as error:
        if TERMINAL.debug:
            traceback.print_exc()
        return _failure(error)


def _failure(error: Exception) -> int:
    """Say what went wrong in a sentence; return the exit code."""
    if hasattr(error, "format_message"):  # usage: an unknown option, a missing argument
        if message := error.format_message():  # none where the help was shown, as no command was named
            TERMINAL.error(f"{message} (`cenote COMMAND --help` says what it takes)")
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, Failed | CorruptIndex | CenoteError):
        TERMINAL.error(str(error))
        return 1
    if isinstance(error, ValueError | TypeError):
        TERMINAL.error(str(error))
        return 2
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or _RUST_PLACE.sub("", str(error)).removeprefix("LanceError(IO): ")
        TERMINAL.error(f"{where}{reason}; nothing that was stored is lost")
        return 1
    TERMINAL.error(f"{type(error).__name__}: {error}; run it again with --debug to see where")
    return 1


def run() -> None:
    """Run the command line of this process. What it prints is UTF-8 everywhere: scripts read it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # half a surrogate pair, as in the name of a file that is no UTF-8, is printed as JSON spells it
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    reads = sys.argv[1:2] in ([name] for name in _READS)
    if reads:
        gc.set_threshold(_GARBAGE_AFTER)
    code = main(sys.argv[1:])
    if reads:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # nothing is left to be saved, and taking torch apart takes a while
        os._exit(code)
    sys.exit(code)
