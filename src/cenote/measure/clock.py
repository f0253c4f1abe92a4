"""A clock for building: the seconds that pass, without those in which kernels are compiled.

A kernel is compiled once in an environment and then read from a file, so whichever recipe is the first to use it would
seem slower to build than it is.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

_COMPILING = "numba:compile"


class Clock:
    """Runs while it is entered; `seconds` are there when it has been left."""

    seconds = 0.0

    def __enter__(self) -> Self:
        from numba.core import event

        self._compiling = event.TimingListener()
        event.register(_COMPILING, self._compiling)
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from numba.core import event

        passed = time.perf_counter() - self._began
        event.unregister(_COMPILING, self._compiling)
        self.seconds = passed - (self._compiling.duration if self._compiling.done else 0.0)
