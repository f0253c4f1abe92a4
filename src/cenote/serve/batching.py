"""Batches of requests: one thread takes everything that waits, and answers it together.

While it works, the next requests gather; so a batch is as large as the load asks for, and an idle server never waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from cenote.errors import CenoteError
from cenote.serve import limits

Q = TypeVar("Q")
A = TypeVar("A")


class Busy(CenoteError):
    """Too many requests wait already."""


class Batcher(Generic[Q, A]):
    """A thread that works on batches.

    work: takes what waits, returns an answer or an exception for each, in order. size: how much a question weighs;
    a batch ends before its questions weigh more than `together`, and has at least one.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Q]], Sequence[A | Exception]],
        *,
        size: Callable[[Q], int] = lambda question: 1,
        together: int = 1,
    ) -> None:
        self._work, self._size, self._together = work, size, together
        self._waiting: deque[tuple[Q, Future[A]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"cenote-{name}", daemon=True)
        self._thread.start()

    async def ask(self, question: Q) -> A:
        """Wait for the answer, without holding up the loop.

        Raises Busy where too many wait already, and whatever the work gave for this question.
        """
        future: Future[A] = Future()
        with self._changed:
            if self._closed:
                raise Busy("the server is being stopped; ask another one, or later")
            if len(self._waiting) >= limits.WAITING:
                raise Busy(f"{limits.WAITING} requests wait already; try again in a moment")
            self._waiting.append((question, future))
            self._changed.notify()
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Answer what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            # whoever asked may have gone meanwhile
            live = [(question, future) for question, future in batch if future.set_running_or_notify_cancel()]
            if live:
                self._answer(live)

    def _next(self) -> list[tuple[Q, Future[A]]]:
        """Return what is answered next; nothing when all is done and the thread shall end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            batch: list[tuple[Q, Future[A]]] = []
            weight = 0
            while self._waiting:
                weight += self._size(self._waiting[0][0])
                if batch and weight > self._together:
                    break
                batch.append(self._waiting.popleft())
            return batch

    def _answer(self, batch: list[tuple[Q, Future[A]]]) -> None:
        try:
            answers = self._work([question for question, _ in batch])
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
