"""SoftPool: exponentially weighted pooling.

    y_d = sum_n softmax_n(x_nd / t) x_nd        per channel; t -> 0: the maximum; t -> infinity: the mean

Stergiou, Poppe & Kalliatakis, "Refining activation downsampling with SoftPool" (2101.00440), with t = 1. For feature
maps: `Windows(SoftPool(), 2)`.
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels.segments import masked_softmean, segment_softmean
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
        return masked_softmean(x, mask, self._scores(x))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the weighted mean of each segment per channel."""
        return segment_softmean(x, offsets, self._scores(x))

    def _scores(self, x: Tensor) -> Tensor | None:
        return None if self.temperature == 1 else x / self.temperature
