"""Convex: a weighted mean of the scores of two legs, each brought to 0..1 over the candidates.

    score(x) = a s1(x) + (1 − a) s2(x)        s = (score − least) / (greatest − least) over the union of candidates

A candidate that one leg did not find has its score there computed, so no score is missing. Bruch, Gai & Ingber, "An
analysis of fusion functions for hybrid retrieval" (2210.11934).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cenote.arrays import Float32, Hits, Int64
from cenote.index.fused import Fusion, Scores


class Convex(Fusion):
    """a: the weight of the first leg. N: rows that each leg is asked for.

    Raises ValueError for a outside 0..1 or N < 1.
    """

    def __init__(self, a: float = 0.5, N: int = 100) -> None:
        if not 0 <= a <= 1:
            raise ValueError(f"a must lie between 0 and 1, not {a}")
        if N < 1:
            raise ValueError(f"N must be at least 1, not {N}")
        self.a, self.N = a, N

    def fused(self, candidates: Int64, found: Sequence[Hits], exact: Sequence[Scores]) -> Float32:
        """Return the weighted mean of the scaled scores; see `Fusion.fused`."""
        first, second = (_scaled(scores(candidates), candidates >= 0) for scores in exact)
        return (self.a * first + (1 - self.a) * second).astype(np.float32)


def _scaled(scores: Float32, real: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Float32:
    """Scores (q, c) brought to 0..1 over the candidates of each query; all 0 where they are equal."""
    if not scores.shape[1]:
        return scores
    least = np.where(real, scores, np.inf).min(axis=1, keepdims=True)
    greatest = np.where(real, scores, -np.inf).max(axis=1, keepdims=True)
    width = np.where(greatest > least, greatest - least, 1)
    return np.where(real, (np.where(real, scores, 0) - least) / width, 0).astype(np.float32)
