"""The best k of scores that are all there, by one rule: score descending, then row ascending."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32, Hits, Int64


def best(scores: Float32, k: int, ids: Int64) -> Hits:
    """Return the best k of scores (q, c) that belong to ids (q, c), id -1 being no candidate."""
    real: NDArray[np.bool_] = ids >= 0
    shown = np.where(real, scores, -np.inf).astype(np.float32)
    order = np.lexsort((ids, -shown, ~real), axis=1)[:, :k]
    counts = np.minimum(real.sum(axis=1), k).astype(np.int64)
    return Hits(np.take_along_axis(ids, order, 1), np.take_along_axis(shown, order, 1), counts)
