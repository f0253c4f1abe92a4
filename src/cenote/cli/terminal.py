"""What a command says: results on stdout; progress, messages and errors on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from cenote.data.base import Skipped

Told: TypeAlias = Callable[[str, int, int | None], None]
"""Progress: the phase, how much is done, how much there is."""
PHASES = {"read": "reading", "fit": "fitting", "encode": "encoding"}
_SHOWN = 10
_EVERY_SECONDS = 10.0


class Failed(Exception):
    """A command that could not do all it was asked: exit code 1, after its message."""


@dataclass
class Terminal:
    """How much is said: set once, from the options before and behind the command."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    @property
    def bold(self) -> tuple[str, str]:
        """What a terminal takes around emphasised words of a result; nothing where stdout is none, or asked not to."""
        plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        return ("", "") if plain or os.name == "nt" else ("\x1b[1m", "\x1b[0m")

    def message(self, text: str) -> None:
        """Say something to the person, unless they asked for quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def error(self, text: str) -> None:
        """Say what went wrong."""
        print(f"cenote: {text}", file=sys.stderr, flush=True)

    @contextmanager
    def progress(self) -> Iterator[Told]:
        """Yield what draws progress: a bar on a terminal; elsewhere, with -v, a line every ten seconds."""
        if self.quiet or not (sys.stderr.isatty() or self.verbose):
            yield lambda phase, done, total: None
        elif not sys.stderr.isatty():
            yield _lines()
        else:
            with _bars() as told:
                yield told

    def skipped(self, skipped: Sequence[Skipped]) -> None:
        """List what was skipped, by kind."""
        kinds: dict[str, list[Skipped]] = {}
        for one in skipped:
            kinds.setdefault(one.kind, []).append(one)
        for kind, some in kinds.items():
            self.message(f"skipped {len(some):,} ({kind}):")
            shown = some if self.verbose else some[:_SHOWN]
            for one in shown:
                self.message(f"  {one.source}: {one.reason}")
            if len(some) > len(shown):
                self.message(f"  and {len(some) - len(shown):,} more; -v lists all")


TERMINAL = Terminal()


def result(text: str) -> None:
    """Print a line of the result."""
    print(text, flush=True)


def result_json(value: Any, *, indent: int | None = None) -> None:
    """Print a result as JSON; numbers that JSON does not know become null."""
    print(json.dumps(_finite(value), ensure_ascii=False, indent=indent), flush=True)


def result_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need, the first a header; numbers to the right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_number(cell) for cell in column[1:]) for column in columns]
    for row in rows:
        cells = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        result("  ".join(cells).rstrip())


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return "1 document" or "2 documents"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(bytes: float) -> str:
    """Return an amount as people read it."""
    for unit in ("bytes", "KiB", "MiB"):
        if bytes < 1024:
            return f"{bytes:,.0f} {unit}" if unit == "bytes" else f"{bytes:,.1f} {unit}"
        bytes /= 1024
    return f"{bytes:,.1f} GiB"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _is_number(cell: str) -> bool:
    return not cell or cell.replace(",", "").lstrip("+-").replace(".", "", 1).isdigit()


def _lines() -> Told:
    said = [0.0]

    def told(phase: str, done: int, total: int | None) -> None:
        if time.monotonic() - said[0] >= _EVERY_SECONDS or done == total:
            said[0] = time.monotonic()
            of = "" if total is None else f" of {total:,}"
            print(f"{PHASES.get(phase, phase)} {done:,}{of}", file=sys.stderr, flush=True)

    return told


@contextmanager
def _bars() -> Iterator[Told]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        tasks: dict[str, Any] = {}

        def told(phase: str, done: int, total: int | None) -> None:
            if phase not in tasks:
                tasks[phase] = drawn.add_task(PHASES.get(phase, phase), total=total)
            drawn.update(tasks[phase], completed=done, total=total)

        yield told
