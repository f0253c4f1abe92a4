"""numba's `njit` as every kernel here wants it: no GIL, cached on disk where the cache folder can be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def _cacheable() -> bool:
    """Whether numba can keep compiled code: beside this file, or in NUMBA_CACHE_DIR."""
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parent / "__pycache__")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


compiled: Callable[..., Any] = numba.njit(nogil=True, cache=_cacheable())
"""Decorator: compile a function on first call, without the GIL."""

compiled_sums: Callable[..., Any] = numba.njit(
    nogil=True, cache=_cacheable(), error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)
"""Decorator: the same, with sums taken in any order, which vectors need; NaN and infinity keep their meaning."""
