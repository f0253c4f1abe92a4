"""Hamming distances between packed bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cenote.kernels import threads

Bits = NDArray[np.uint8]
_ROWS = 4096  # whose words, and the bits that differ in them, stay in a cache


def hamming(a: Bits, b: Bits) -> NDArray[np.int32]:
    """Return the number of differing bits between rows of a (q, w) and b (n, w): int32 (q, n)."""
    out = np.empty((len(a), len(b)), np.int32)
    left, right = _words(a), _words(b)

    def count(start: int, stop: int) -> None:
        for low in range(start, stop, _ROWS):
            some = slice(low, min(low + _ROWS, stop))
            for query, words in enumerate(left):
                np.bitwise_count(right[some] ^ words).sum(axis=1, dtype=np.int32, out=out[query, some])

    threads.over_ranges(count, len(b), least=_ROWS)
    return out


def _words(bits: Bits) -> NDArray[np.uint64]:
    """View rows as 64-bit words, padded with zero bytes where their width is not a multiple of eight."""
    spare = -bits.shape[1] % 8
    padded = np.pad(bits, ((0, 0), (0, spare))) if spare else np.ascontiguousarray(bits)
    return padded.view(np.uint64)
