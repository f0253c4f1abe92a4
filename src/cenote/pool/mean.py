"""Mean: the average of the kept tokens.

y = 1/n sum_n x_n
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.by_count import ByCount


class Mean(ByCount):
    """(B, N, D) -> (B, D)."""

    def weight(self, count: Tensor) -> Tensor:
        """Return 1 / n."""
        return count.reciprocal()
