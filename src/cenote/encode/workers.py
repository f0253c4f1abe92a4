"""Batches on every core: one thread computes one batch, so that no thread ever waits for another inside a layer."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

from cenote.kernels import threads

T = TypeVar("T")

_AHEAD = 2
"""Batches a thread may be ahead of what is read: more would only hold memory."""


def in_order(tasks: Iterable[Callable[[], T]], *, concurrent: bool) -> Iterator[T]:
    """Yield what each task returns, in their order; `concurrent` tasks run at the same time, but one alone runs here.

    A single task may use every core itself; tasks that run beside others compute with one thread each.
    """
    tasks = iter(tasks)
    head = list(itertools.islice(tasks, 2 if concurrent and threads.count() > 1 else 0))
    if len(head) < 2:
        for task in itertools.chain(head, tasks):
            yield task()
        return
    pool, waiting = _pool(os.getpid(), threads.count()), deque[Future[T]]()
    try:
        for task in itertools.chain(head, tasks):
            waiting.append(pool.submit(task))
            if len(waiting) > _AHEAD * threads.count():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for one in waiting:
            one.cancel()


@cache
def _pool(pid: int, size: int) -> ThreadPoolExecutor:
    # keyed by process: a fork inherits the object but not its threads
    started = threading.Barrier(size)
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(size, thread_name_prefix="cenote-encode", initializer=_alone)
    for done in pool.map(lambda _: started.wait(), range(size)):
        assert done < size
    # torch also takes the number for threads that are still to come, which are not ours
    torch.set_num_threads(before)
    return pool


def _alone() -> None:
    torch.set_num_threads(1)
    # a thread takes the number for its own when it first asks, which must be before it is set back
    torch.get_num_threads()
    threads.alone()
