"""The protocols of the vector stages: transforms (dense to dense) and codecs (dense to the bytes that are stored).

Both work on numpy arrays, know the role where it matters, and keep their fitted arrays as a flat dict so that one
writer saves them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32

if TYPE_CHECKING:
    from cenote.kernels.scan import Queries

Role: TypeAlias = Literal["query", "document"]
Codes: TypeAlias = dict[str, NDArray[Any]]
"""What a codec stores: `codes` and whatever goes with it (a `scale` a row), all with one row a vector."""


def checked(x: NDArray[Any], name: str = "x", dim: int | None = None) -> Float32:
    """Return `x` as float32 (n, d).

    Raises TypeError for a dtype that is not floating, ValueError for a wrong shape, width or a value that is not
    finite, naming the argument and the first bad row.
    """
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(f"{name} must hold floats, not {x.dtype}")
    if x.ndim != 2:
        raise ValueError(f"{name} must have shape (rows, dimensions), not {x.shape}")
    if dim is not None and x.shape[1] != dim:
        raise ValueError(f"{name} has {x.shape[1]} dimensions where {dim} are expected")
    x = x.astype(np.float32, copy=False)
    # a sum is finite whenever every entry is (short of overflow), and costs no boolean copy
    if not np.isfinite(x.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(bad):
            raise ValueError(f"{name} holds NaN or infinity in row {int(bad[0])}")
    return x


class Fitted(ABC):
    """A stage that may learn arrays from a sample of documents before it is used."""

    needs_fit: bool = False

    def fit(self, x: Float32, seed: int = 0) -> None:
        """Learn from documents x (n, d); deterministic in `seed`. Does nothing unless `needs_fit`."""

    @property
    def fitted(self) -> bool:
        """Whether `apply` or `encode` may be called."""
        return not self.needs_fit or bool(self.state())

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the learnt arrays by name, empty before `fit`."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` returned."""


class Transform(Fitted):
    """dense (n, d) to dense (n, d')."""

    @abstractmethod
    def apply(self, x: Float32, role: Role = "document") -> Float32:
        """Transform float32 (n, d) to float32 (n, d'). Row i depends on row i alone."""

    @abstractmethod
    def out_dim(self, dim: int) -> int:
        """Return d' for vectors of `dim` dimensions; raises ValueError where that width cannot be taken."""


class Codec(Fitted):
    """dense (n, d) to stored codes, and back to an approximation."""

    @abstractmethod
    def encode(self, x: Float32) -> Codes:
        """Encode float32 (n, d); every array returned has n rows. Raises ValueError on NaN or infinity."""

    @abstractmethod
    def decode(self, codes: Codes, dim: int) -> Float32:
        """Return the float32 (n, dim) that the codes stand for."""

    def scorer(self, queries: Float32, dim: int) -> Callable[[Codes], Float32]:
        """Put queries (q, dim) into the form that scores codes, once, and return: block of codes -> float32 (q, rows).

        The default decodes the block and takes dot products; integer codes have kernels of their own.
        """
        import torch

        left = torch.from_numpy(np.ascontiguousarray(queries))

        def score(block: Codes) -> Float32:
            right = torch.from_numpy(np.ascontiguousarray(self.decode(block, dim)))
            product: Float32 = (left @ right.T).numpy()
            return product

        return score

    def kernel(self, queries: Float32, dim: int) -> Queries | None:
        """Put queries (q, d) into the form that the compiled scan of these codes takes; None where there is none.

        Scores are those of `scorer`: the same bits for whole numbers, for floats within rounding.
        """
        return None

    def few(self, queries: Float32, dim: int) -> Callable[[Codes], Float32]:
        """Put up to eight queries (q, d) into the form that scores few codes without compiled kernels.

        Scores have the bits of those of `kernel`: whole numbers have them by `scorer`, floats by `kernels.few`.
        """
        return self.scorer(queries, dim)

    @abstractmethod
    def nbytes(self, n: int, dim: int) -> int:
        """Return the exact bytes of `encode` for n rows: a closed form, tested against the arrays."""
