"""Memory that begins where a line of the cache begins."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros whose first byte begins a line of the cache: vectors that lie across two lines cost twice."""
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    lines: NDArray[Any] = room[start : start + size].view(dtype).reshape(shape)
    return lines
