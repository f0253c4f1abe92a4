"""Float32: four bytes a dimension, exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cenote.arrays import Float32 as Float32Array
from cenote.compress.base import Codec, Codes, checked
from cenote.kernels import few

if TYPE_CHECKING:
    from cenote.kernels.scan import Queries


class Float32(Codec):
    """codes: float32 (n, d), the vectors themselves."""

    def encode(self, x: Float32Array) -> Codes:
        """Store x (n, d) as it is."""
        # a copy: what is stored must not follow what the caller does to x later
        return {"codes": np.array(checked(x), order="C")}

    def decode(self, codes: Codes, dim: int) -> Float32Array:
        """Return the vectors."""
        return codes["codes"]

    def kernel(self, queries: Float32Array, dim: int) -> Queries:
        """Return the queries as they are."""
        from cenote.kernels import forms
        from cenote.kernels.scan import Queries

        return Queries(forms.FLOAT32, queries, np.ones(len(queries), np.float32))

    def few(self, queries: Float32Array, dim: int) -> Callable[[Codes], Float32Array]:
        """Return block of codes -> scores (q, rows)."""
        return few.scorer(queries, lambda block: self.decode(block, dim))

    def nbytes(self, n: int, dim: int) -> int:
        """4 n d."""
        return 4 * n * dim
