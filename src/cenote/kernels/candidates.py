"""The best k of rows that are offered one by one, by one rule: score descending, then row ascending.

A score and its row make one 64-bit key whose order is the rule, so that keeping the best is keeping the greatest whole
numbers. A query's keys gather in a buffer of twice k; when it is full its k greatest are selected, and the least of
them is the limit that later rows must exceed. Rows that come in ascending order need not even equal it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32, Hits, Int64
from cenote.kernels import bitwise
from cenote.kernels.aligned import aligned
from cenote.kernels.compiled import compiled

Keys = NDArray[np.uint64]
MOST_ROWS = 2**32 - 1
LANES = 64  # limits are padded to whole tiles of queries
_FEWEST = 32  # places to spare beside k: selecting costs less the more rarely it is done


class Candidates:
    """What one thread has found: keys (q, 2k), how many are real (q,), and the limits (q, padded).

    A limit is NaN, which every score passes, until k rows were seen; the padding lets nothing pass.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.k = k
        self.keys = np.zeros((queries, k + max(k, _FEWEST)), np.uint64)
        self.counts = np.zeros(queries, np.int64)
        self.limits: Float32 = aligned((-(-queries // LANES) * LANES,), np.float32)
        self.limits[queries:] = np.inf
        self.limits[:queries] = np.nan


def best(found: Sequence[Candidates], rows: Int64 | None = None) -> Hits:
    """Return the best k of what several threads found; `rows` translates their row numbers to others."""
    k = found[0].k
    keys = np.concatenate([one.keys for one in found], axis=1)
    for one, start in zip(found, range(0, keys.shape[1], found[0].keys.shape[1]), strict=True):
        beyond = np.arange(one.keys.shape[1])[None, :] >= one.counts[:, None]
        keys[:, start : start + one.keys.shape[1]][beyond] = 0
    keys = np.sort(keys, axis=1)[:, ::-1][:, :k]
    real = keys > 0
    ids = np.where(real, MOST_ROWS - (keys & np.uint64(MOST_ROWS)).astype(np.int64), -1)
    if rows is not None:
        ids[real] = rows[ids[real]]
    bits = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(bits >> np.uint32(31), bits ^ np.uint32(0x80000000), ~bits)
    scores = np.where(real, bits.view(np.float32), np.float32(-np.inf))
    return Hits(ids, scores, real.sum(axis=1))


@compiled
def add(keys: Keys, counts: Int64, limits: Float32, k: int, query: int, score: float, row: int) -> None:
    """Offer a row and its score to a query."""
    high = np.uint64(bitwise.bits_of(np.float32(score) + np.float32(0)))  # -0 becomes 0, which it equals
    if high & np.uint64(0x7FFFFFFF) > np.uint64(0x7F800000):
        high = np.uint64(0)  # not a number: behind every other
    elif high >> np.uint64(31):
        high ^= np.uint64(0xFFFFFFFF)
    else:
        high |= np.uint64(0x80000000)
    mine = keys[query]
    count = counts[query]
    mine[count] = high << np.uint64(32) | np.uint64(MOST_ROWS - row)
    count += 1
    if count == len(mine):
        select(mine, k)
        count = k
        least = mine[0]
        for i in range(1, k):
            least = min(least, mine[i])
        high = least >> np.uint64(32)
        high ^= np.uint64(0x80000000 if high >> np.uint64(31) else 0xFFFFFFFF)
        limits[query] = bitwise.float_of(np.uint32(high))
    counts[query] = count


@compiled
def select(keys: Keys, k: int) -> None:
    """Bring the k greatest of distinct keys to the front, in any order: Hoare's selection."""
    low, high = 0, len(keys) - 1
    while low < high:
        a, b, c = keys[low], keys[(low + high) // 2], keys[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            return
