"""Sum: the kept tokens added up.

y = sum_n x_n
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.pool.by_count import ByCount


class Sum(ByCount):
    """(B, N, D) -> (B, D)."""

    scaling = "sum"

    def weight(self, count: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(count)
