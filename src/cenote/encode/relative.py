"""Biases by distance, in buckets that widen: near distances have one each, far ones share.

    bucket(n) = n for n < 8;   8 + floor(8 log(n / 8) / log(16)), at most 15, beyond;   16 more for keys that follow

Raffel et al., "T5" (1910.10683), with the sizes that MPNet (2004.09297) keeps fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

_SIDE, _EXACT, _FAR = 16, 8, 128


def by_distance(table: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the function distances (...) -> fp32 (H, ...) of a table (32, H)."""
    rows = table.float()

    def bias(distance: Tensor) -> Tensor:
        return rows[bucket(distance)].movedim(-1, 0)

    return bias


def bucket(distance: Tensor) -> Tensor:
    """Return int64 (...) for the distances of keys from their queries."""
    far = distance.abs()
    share = torch.log(far.clamp(min=1).float() / _EXACT) / math.log(_FAR / _EXACT)
    wide = (_EXACT + (share * (_SIDE - _EXACT)).long()).clamp(max=_SIDE - 1)
    return torch.where(far < _EXACT, far, wide) + (distance > 0) * _SIDE
