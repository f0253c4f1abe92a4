"""Float32: four bytes a dimension, exact."""

from __future__ import annotations

import numpy as np

from cenote.arrays import Float32 as Float32Array
from cenote.compress.base import Codec, Codes, checked


class Float32(Codec):
    """codes: float32 (n, d), the vectors themselves."""

    def encode(self, x: Float32Array) -> Codes:
        """Store x (n, d) as it is."""
        # a copy: what is stored must not follow what the caller does to x later
        return {"codes": np.array(checked(x), order="C")}

    def decode(self, codes: Codes, dim: int) -> Float32Array:
        """Return the vectors."""
        return codes["codes"]

    def nbytes(self, n: int, dim: int) -> int:
        """4 n d."""
        return 4 * n * dim
