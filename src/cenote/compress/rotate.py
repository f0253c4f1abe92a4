"""Rotate: a seeded random rotation, so that a codec with one scale sees dimensions of even size.

    y = x Q        Q (d, d) orthogonal, uniformly random: the QR of a Gaussian matrix, its signs made unique

Distances and dot products stay as they are. It learns nothing; Q is stored with what was built all the same, because
the last bits of a QR differ between machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32
from cenote.compress.base import Role, Transform, checked


class Rotate(Transform):
    """dense (n, d) to dense (n, d)."""

    def __init__(self, seed: int = 0) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, not {seed}")
        self.seed = seed
        self.rotation: NDArray[np.float32] | None = None

    def apply(self, x: Float32, role: Role = "document") -> Float32:
        """Rotate x (n, d)."""
        x = checked(x, dim=None if self.rotation is None else len(self.rotation))
        if self.rotation is None:
            self.rotation = _orthogonal(x.shape[1], self.seed)
        return x @ self.rotation

    def out_dim(self, dim: int) -> int:
        """Return `dim` unchanged."""
        return dim

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the rotation (d, d), once it was used."""
        return {} if self.rotation is None else {"rotation": self.rotation}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back the rotation."""
        if "rotation" in state:
            self.rotation = state["rotation"]


def _orthogonal(dim: int, seed: int) -> NDArray[np.float32]:
    q, r = np.linalg.qr(np.random.Generator(np.random.Philox(seed)).standard_normal((dim, dim)))
    return (q * np.sign(np.diag(r))).astype(np.float32)
