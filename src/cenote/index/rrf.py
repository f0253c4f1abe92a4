"""RRF: reciprocal rank fusion; only the ranks of the legs count, so their scores need no common scale.

    score(x) = sum over legs of 1 / (k + rank(x))        rank from 1; a leg that did not find x adds nothing

Cormack, Clarke & Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods" (2009),
where k is 60.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cenote.arrays import Float32, Hits, Int64
from cenote.index.fused import Fusion, Scores, places


class RRF(Fusion):
    """k: how little the first ranks stand out. N: rows that each leg is asked for.

    Raises ValueError for k < 0 or N < 1.
    """

    def __init__(self, k: int = 60, N: int = 100) -> None:
        if k < 0:
            raise ValueError(f"k must be at least 0, not {k}")
        if N < 1:
            raise ValueError(f"N must be at least 1, not {N}")
        self.k, self.N = k, N

    def fused(self, candidates: Int64, found: Sequence[Hits], exact: Sequence[Scores]) -> Float32:
        """Return the sum of the reciprocal ranks; see `Fusion.fused`."""
        total = np.zeros(candidates.shape)
        for hits in found:
            place = places(candidates, hits)
            total += np.where(place >= 0, 1 / (self.k + 1 + place), 0)
        return total.astype(np.float32)
