"""Sqrt: the sum of the kept tokens over the square root of their number.

    y = 1/sqrt(n) sum_n x_n

Arora, Liang & Ma weigh such sums; sentence-transformers calls this mean_sqrt_len_tokens.
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.by_count import ByCount


class Sqrt(ByCount):
    """(B, N, D) -> (B, D)."""

    scaling = "none"

    def weight(self, count: Tensor) -> Tensor:
        """Return 1 / sqrt(n)."""
        return count.rsqrt()
