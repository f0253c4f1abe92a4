"""Binary: one bit a dimension, the sign.

bit_j = x_j > 0          score(q, x) = d - 2 · hamming(bits(q), bits(x)), the dot product of the ±1 vectors
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cenote.arrays import Float32
from cenote.compress.base import Codec, Codes, checked
from cenote.kernels.hamming import hamming

if TYPE_CHECKING:
    from cenote.kernels.scan import Queries


class Binary(Codec):
    """codes: uint8 (n, ceil(d / 8)), bit j of a row is bit j % 8 of byte j // 8; spare bits are zero."""

    def encode(self, x: Float32) -> Codes:
        """Pack the signs of x (n, d)."""
        return {"codes": np.packbits(checked(x) > 0, axis=1, bitorder="little")}

    def decode(self, codes: Codes, dim: int) -> Float32:
        """Return +1 for a set bit, -1 for a clear one."""
        bits = np.unpackbits(codes["codes"], axis=1, count=dim, bitorder="little")
        return bits.astype(np.float32) * 2 - 1

    def kernel(self, queries: Float32, dim: int) -> Queries:
        """Return the signs of the queries: the kernel sums -hamming, of which the score is d + 2 times."""
        from cenote.kernels import forms
        from cenote.kernels.scan import Queries

        return Queries(forms.BITS, self.encode(queries)["codes"], np.full(len(queries), 2, np.float32), shift=dim)

    def nbytes(self, n: int, dim: int) -> int:
        """n ceil(d / 8)."""
        return n * -(-dim // 8)

    def scorer(self, queries: Float32, dim: int) -> Callable[[Codes], Float32]:
        """Return block of codes -> scores float32 (q, rows), by popcounts."""
        bits = self.encode(queries)["codes"]

        def score(block: Codes) -> Float32:
            return np.float32(dim) - 2 * hamming(bits, block["codes"]).astype(np.float32)

        return score
