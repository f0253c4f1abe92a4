"""SoftPool: exponentially weighted pooling.

    y_d = sum_n softmax_n(x_nd / t) x_nd        per channel; t -> 0: the maximum; t -> infinity: the mean

Stergiou, Poppe & Kalliatakis, "Refining activation downsampling with SoftPool" (2101.00440), with t = 1. For feature
maps: `Windows(SoftPool(), 2)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.kernels.segments import lowered, segment_softmax, segment_sum
from cenote.pool.base import Empty, Pooler


class SoftPool(Pooler):
    """(B, N, D) -> (B, D).

    temperature: t, greater than 0. Raises ValueError for any other.
    """

    def __init__(self, temperature: float = 1.0, *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        if not temperature > 0:
            raise ValueError(f"temperature must be greater than 0, not {temperature}")
        self.temperature = temperature

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted mean of the kept tokens per channel."""
        kept = mask[:, :, None]
        scores = x if self.temperature == 1 else x / self.temperature
        return (lowered(scores, kept, 1).softmax(1) * torch.where(kept, x, 0)).sum(1)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the weighted mean of each segment per channel."""
        return segment_sum(segment_softmax(x / self.temperature, offsets) * x, offsets)
