"""A progress bar on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(total: int, show: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts texts done, and draw them where `show` asks for it."""
    if not show:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("encoding", total=total)
        yield lambda done: drawn.advance(task, done)
