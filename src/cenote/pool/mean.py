"""Mean: the average of the kept tokens.

y = 1/n sum_n x_n
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels import windowed
from cenote.kernels.segments import all_kept
from cenote.pool.by_count import ByCount


class Mean(ByCount):
    """(B, N, D) -> (B, D)."""

    def weight(self, count: Tensor) -> Tensor:
        """Return 1 / n."""
        return count.reciprocal()

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the mean of the kept tokens."""
        return x.mean(1) if mask.shape[1] and all_kept(mask) else super().padded(x, mask)

    def in_windows(self, planes: Tensor, window: windowed.Window, out_size: tuple[int, ...]) -> Tensor:
        """Return the mean of each window."""
        return windowed.Mean.of(planes, window, out_size)
