"""Truncate: the first dimensions, for models trained so that these matter most.

    y = x[:dim]

Kusupati et al., "Matryoshka Representation Learning" (2205.13147).
"""

from __future__ import annotations

import numpy as np

from cenote.arrays import Float32
from cenote.compress.base import Role, Transform, checked


class Truncate(Transform):
    """dense (n, d) to dense (n, dim). Raises ValueError for dim < 1 or above d."""

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ValueError(f"dim must be at least 1, not {dim}")
        self.dim = dim

    def apply(self, x: Float32, role: Role = "document") -> Float32:
        """Keep the first `dim` columns of x (n, d)."""
        self.out_dim(x.shape[-1])
        return np.ascontiguousarray(checked(x)[:, : self.dim])

    def out_dim(self, dim: int) -> int:
        """Return `dim` of the recipe."""
        if self.dim > dim:
            raise ValueError(f"truncate {self.dim} asks for more dimensions than the {dim} there are")
        return self.dim
