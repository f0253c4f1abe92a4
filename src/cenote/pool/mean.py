"""Mean: the average of the kept tokens.

y = 1/n sum_n x_n
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels import windowed
from cenote.pool.by_count import ByCount


class Mean(ByCount):
    """(B, N, D) -> (B, D)."""

    def weight(self, count: Tensor) -> Tensor:
        """Return 1 / n."""
        return count.reciprocal()

    def in_windows(self, planes: Tensor, window: windowed.Window, out_size: tuple[int, ...]) -> Tensor:
        """Return the mean of each window."""
        return windowed.Mean.of(planes, window, out_size)
