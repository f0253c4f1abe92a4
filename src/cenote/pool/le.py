"""LE: sums of exponentials of linear maps, which tell any two sets of N tokens apart once there are enough maps.

    phi(x) = [ exp(v_l . x) : l = 1..L ]        y = sum_n phi(x_n)

L of the order N^4 D^2 is enough, whatever the sets; no power higher than the exponential's own is taken.

Wang, Yang, Li, Wang & Li, "Polynomial width is sufficient for set representation with high-dimensional features"
(2307.04001).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.pool.base import Empty
from cenote.pool.element_sum import ElementSum

_STEEPEST = 4.0
"""Of |v.x| on [-1, 1]^D: one token is then never more than exp(8), 3,000 times, another."""


class LE(ElementSum):
    """(B, N, D) -> (B, width).

    dim: D. width: L; `cenote.pool.lp.width_bounds` says which is always enough. seed: of the directions.
    """

    directions: Tensor

    def __init__(self, dim: int, width: int, *, seed: int = 0, empty: Empty = "zero") -> None:
        """Raise ValueError for a dim or width below 1."""
        super().__init__(dim, empty=empty)
        if dim < 1 or width < 1:
            raise ValueError(f"dim and width must be at least 1, not {dim} and {width}")
        self.width, self.seed = width, seed
        drawn = torch.randn(width, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / dim**0.5
        steepness = drawn.abs().sum(1, keepdim=True)
        self.register_buffer("directions", drawn * (_STEEPEST / steepness).clamp(max=1))

    def out_dim(self, dim: int) -> int:
        """Return the width."""
        return self.width

    def embed(self, x: Tensor) -> Tensor:
        """Return exp(v.x)."""
        return (x @ self.directions.double().T).exp()
