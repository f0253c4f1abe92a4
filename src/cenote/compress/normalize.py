"""Normalize: unit length.

y = x / max(|x|, 1e-12)         a zero vector stays zero
"""

from __future__ import annotations

import numpy as np

from cenote.arrays import Float32
from cenote.compress.base import Role, Transform, checked


class Normalize(Transform):
    """dense (n, d) to dense (n, d) of length 1."""

    def apply(self, x: Float32, role: Role = "document") -> Float32:
        """Scale each row of x (n, d) to length 1."""
        return unit(checked(x))

    def out_dim(self, dim: int) -> int:
        """Return `dim` unchanged."""
        return dim


def unit(x: Float32) -> Float32:
    """Scale rows to length 1; a zero row stays zero."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(norms, 1e-12), dtype=np.float32)
