"""numba's `njit` as every kernel here wants it: no GIL, cached on disk where the cache folder can be written.

Kernels are compiled into one another, across files. numba asks only whether the file of the outermost one has changed,
so that after an update it would find one that holds the old code of another; here any file of the kernels counts.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

_HERE = Path(__file__).parent


def _cacheable() -> bool:
    """Whether numba can keep compiled code: beside this file, or in NUMBA_CACHE_DIR."""
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or _HERE / "__pycache__")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


_KEPT = _cacheable()


@cache
def sources() -> str:
    """Return what tells one state of all the kernels' files from another."""
    found = sha256()
    for path in sorted(_HERE.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


class _Cache(FunctionCache):  # type: ignore[misc]
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = sources()


def _decorator(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    def made(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(nogil=True, **options)(function)
        if _KEPT:
            dispatcher._cache = _Cache(function)
        return dispatcher

    return made


compiled = _decorator()
"""Decorator: compile a function on first call, without the GIL."""

compiled_sums = _decorator(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
"""Decorator: the same, with sums taken in any order, which vectors need; NaN and infinity keep their meaning."""
