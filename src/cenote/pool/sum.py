"""Sum: the kept tokens added up.

y = sum_n x_n
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels.segments import masked_sum, segment_sum
from cenote.pool.base import Pooler


class Sum(Pooler):
    """(B, N, D) -> (B, D)."""

    scaling = "sum"

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return float32 (B, N): 1, and zero where the mask leaves a token out."""
        return mask.float()

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum the kept tokens."""
        return masked_sum(x, mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Sum each segment."""
        return segment_sum(x, offsets)
