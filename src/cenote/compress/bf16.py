"""BF16: two bytes a dimension, the range of float32 with eight bits of precision.

code = the upper half of the float32, rounded to nearest even

The last half step below the greatest float32, which would round to infinity, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cenote.arrays import Float32
from cenote.compress.base import Codec, Codes, checked
from cenote.kernels import few

if TYPE_CHECKING:
    from cenote.kernels.scan import Queries

INFINITY = 0x7F80


class BF16(Codec):
    """codes: uint16 (n, d), the bits of bfloat16 (numpy has no such type)."""

    def encode(self, x: Float32) -> Codes:
        """Round x (n, d). Raises ValueError beyond ±3.39e38."""
        bits = np.ascontiguousarray(checked(x)).view(np.uint32)
        codes = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        if (codes & 0x7FFF).max(initial=0) >= INFINITY:
            raise ValueError(f"x reaches {np.abs(x).max():g}, beyond the ±3.39e38 of bf16; use float32")
        return {"codes": codes}

    def decode(self, codes: Codes, dim: int) -> Float32:
        """Widen to float32, exactly."""
        return (codes["codes"].astype(np.uint32) << 16).view(np.float32)

    def kernel(self, queries: Float32, dim: int) -> Queries:
        """Return the queries as they are."""
        from cenote.kernels import forms
        from cenote.kernels.scan import Queries

        return Queries(forms.BF16, queries, np.ones(len(queries), np.float32))

    def few(self, queries: Float32, dim: int) -> Callable[[Codes], Float32]:
        """Return block of codes -> scores (q, rows)."""
        return few.scorer(queries, lambda block: self.decode(block, dim))

    def nbytes(self, n: int, dim: int) -> int:
        """2 n d."""
        return 2 * n * dim
