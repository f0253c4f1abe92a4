"""Min: the least value per channel.

y_d = min_n x_nd
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels import windowed
from cenote.kernels.segments import masked_min, segment_min
from cenote.pool.base import Pooler


class Min(Pooler):
    """(B, N, D) -> (B, D)."""

    scaling = "max"

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the least kept value per channel, zeros for an empty row."""
        return masked_min(x, mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the least value of each segment per channel."""
        return segment_min(x, offsets)

    def in_windows(self, planes: Tensor, window: windowed.Window, out_size: tuple[int, ...]) -> Tensor:
        """Return the least value of each window."""
        return windowed.Extreme.of(planes, window, out_size, -1)
