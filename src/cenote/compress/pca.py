"""PCA: the directions of greatest variance, fitted on documents and applied to both roles.

    z = (x - m) U        m (d,) the mean of the documents, U (d, k) the leading eigenvectors of their covariance

Pearson, "On lines and planes of closest fit to systems of points in space" (1901). Centring moves dot products, so
cosine models are normalised again behind it (the chain does that). With k = d distances are kept exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32
from cenote.compress.base import Role, Transform, checked


class PCA(Transform):
    """dense (n, d) to dense (n, dim).

    Raises ValueError for dim < 1, and in `fit` for a sample of fewer rows or columns than `dim`.
    """

    needs_fit = True

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ValueError(f"dim must be at least 1, not {dim}")
        self.dim = dim
        self.mean: NDArray[np.float32] | None = None
        self.components: NDArray[np.float32] | None = None

    def fit(self, x: Float32, seed: int = 0) -> None:
        """Learn mean and components from x (n, d), in float64."""
        x = checked(x)
        n, d = x.shape
        if self.dim > d:
            raise ValueError(f"pca {self.dim} asks for more dimensions than the {d} there are")
        if self.dim > n:
            raise ValueError(f"pca {self.dim} needs at least {self.dim} passages to learn from, and there are {n}")
        mean = x.mean(axis=0, dtype=np.float64)
        centred = x - mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        leading = vectors[:, ::-1][:, : self.dim]
        # an eigenvector's sign is arbitrary: its greatest entry is made positive, so that a fit can be repeated
        signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(self.dim)])
        self.mean, self.components = mean.astype(np.float32), (leading * signs).astype(np.float32)

    def apply(self, x: Float32, role: Role = "document") -> Float32:
        """Project x (n, d) to (n, dim)."""
        if self.mean is None or self.components is None:
            raise ValueError("pca is applied before it is fitted")
        return np.asarray((checked(x, dim=len(self.mean)) - self.mean) @ self.components, dtype=np.float32)

    def out_dim(self, dim: int) -> int:
        """Return `dim` of the recipe."""
        if self.dim > dim:
            raise ValueError(f"pca {self.dim} asks for more dimensions than the {dim} there are")
        return self.dim

    def state(self) -> dict[str, NDArray[Any]]:
        """Return mean (d,) and components (d, dim)."""
        if self.mean is None or self.components is None:
            return {}
        return {"mean": self.mean, "components": self.components}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back mean and components."""
        if "mean" in state:
            self.mean, self.components = state["mean"], state["components"]
