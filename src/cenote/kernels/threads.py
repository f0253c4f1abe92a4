"""One pool of ordinary threads for kernels that release the GIL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Found = TypeVar("Found")


def count() -> int:
    """Threads to use: OMP_NUM_THREADS where set, else the cores this process may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_own = threading.local()


def alone() -> None:
    """Let the calling thread compute by itself from now on: it is one of several that keep every core at work."""
    _own.alone = True


@cache
def _pool(pid: int, size: int) -> ThreadPoolExecutor:
    # keyed by process: a fork inherits the object but not its threads
    return ThreadPoolExecutor(size, thread_name_prefix="cenote-kernel")


def over_ranges(run: Callable[[int, int], None], n: int, least: int = 1) -> None:
    """Call run(start, stop) over [0, n) cut evenly among the threads, in pieces of at least `least`."""
    pieces = 1 if getattr(_own, "alone", False) else max(1, min(count(), n // max(1, least)))
    if pieces == 1:
        run(0, n)
        return
    cuts = [n * i // pieces for i in range(pieces + 1)]
    for done in _pool(os.getpid(), count()).map(run, cuts[:-1], cuts[1:]):
        assert done is None


def shared(run: Callable[[Iterator[int]], Found], pieces: int) -> list[Found]:
    """Call run(numbers) in every thread; the threads take their numbers, ascending, from the same 0 … pieces - 1.

    Returns what each gave. A thread that is slowed down by another program takes fewer, so that none is waited for.
    """
    numbers = iter(range(pieces))
    wanted = 0 if getattr(_own, "alone", False) else min(count(), pieces) - 1
    helpers = [_pool(os.getpid(), count()).submit(run, numbers) for _ in range(wanted)]
    return [run(numbers), *(helper.result() for helper in helpers)]
