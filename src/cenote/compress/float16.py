"""Float16: two bytes a dimension, eleven bits of precision.

Values beyond its range (65504) are refused rather than turned into infinity.
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

GREATEST = 65504.0


class Float16(Codec):
    """codes: float16 (n, d), rounded to nearest even."""

    def encode(self, x: Float32) -> Codes:
        """Round x (n, d). Raises ValueError beyond ±65504."""
        x = checked(x)
        if x.size and np.abs(x).max() > GREATEST:
            raise ValueError(f"x reaches {np.abs(x).max():g}, beyond the ±65504 of float16; use bf16 or float32")
        return {"codes": x.astype(np.float16)}

    def decode(self, codes: Codes, dim: int) -> Float32:
        """Widen to float32, exactly."""
        return codes["codes"].astype(np.float32)

    def kernel(self, queries: Float32, dim: int) -> Queries:
        """Return the queries as they are."""
        from cenote.kernels import forms
        from cenote.kernels.scan import Queries

        return Queries(forms.FLOAT16, queries, np.ones(len(queries), np.float32))

    def few(self, queries: Float32, dim: int) -> Callable[[Codes], Float32]:
        """Return block of codes -> scores (q, rows)."""
        return few.scorer(queries, lambda block: self.decode(block, dim))

    def nbytes(self, n: int, dim: int) -> int:
        """2 n d."""
        return 2 * n * dim
