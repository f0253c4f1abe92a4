"""Max: the greatest value per channel.

y_d = max_n x_nd
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels import windowed
from cenote.kernels.segments import masked_max, segment_max
from cenote.pool.base import Pooler


class Max(Pooler):
    """(B, N, D) -> (B, D)."""

    scaling = "max"

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the greatest kept value per channel, zeros for an empty row."""
        return masked_max(x, mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the greatest value of each segment per channel."""
        return segment_max(x, offsets)

    def in_windows(self, planes: Tensor, window: windowed.Window, out_size: tuple[int, ...]) -> Tensor:
        """Return the greatest value of each window."""
        return windowed.Extreme.of(planes, window, out_size)
