"""Memory for what is as large as the tokens: from numpy, which asks the system for large pages where torch does not.

A page that is new to a process takes longer to get than to fill, a large one hardly longer than a small one: 48 MiB
are written in a quarter of the time.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

LARGE = 2**20
"""Numbers from which numpy asks for large pages: 4 MiB."""
_LINE = 16
"""Numbers of a line of the cache: vectors that lie across two lines cost twice."""


def of(*shape: int) -> Tensor:
    """Return float32 of a shape, contiguous, its numbers not yet written."""
    count = math.prod(shape)
    if count < LARGE:
        return torch.empty(shape)
    room = np.empty(count + _LINE, np.float32)
    start = -(room.ctypes.data // room.itemsize) % _LINE
    return torch.from_numpy(room[start : start + count]).view(shape)


def like(x: Tensor) -> Tensor:
    """Return what has the shape of x, as `of` does."""
    return of(*x.shape)
