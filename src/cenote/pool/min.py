"""Min: the least value per channel.

y_d = min_n x_nd
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.max import Max


class Min(Max):
    """(B, N, D) -> (B, D)."""

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the least kept value per channel, zeros for an empty row."""
        return -super().padded(-x, mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the least value of each segment per channel."""
        return -super().packed(-x, offsets)
