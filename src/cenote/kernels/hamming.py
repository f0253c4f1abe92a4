"""Hamming distances between packed bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cenote.kernels import threads
from cenote.kernels.compiled import compiled

Bits = NDArray[np.uint8]


def hamming(a: Bits, b: Bits) -> NDArray[np.int32]:
    """Return the number of differing bits between rows of a (q, w) and b (n, w): int32 (q, n)."""
    out = np.empty((len(a), len(b)), np.int32)
    left, right = _words(a), _words(b)
    threads.over_ranges(lambda start, stop: _count(left, right[start:stop], out[:, start:stop]), len(b), least=4096)
    return out


def _words(bits: Bits) -> NDArray[np.uint64]:
    """View rows as 64-bit words, padded with zero bytes where their width is not a multiple of eight."""
    spare = -bits.shape[1] % 8
    padded = np.pad(bits, ((0, 0), (0, spare))) if spare else np.ascontiguousarray(bits)
    return padded.view(np.uint64)


@compiled
def _count(a: NDArray[np.uint64], b: NDArray[np.uint64], out: NDArray[np.int32]) -> None:
    ones, twos, fours = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    one, two, four, top = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
    every = np.uint64(0x0101010101010101)
    for row in range(len(b)):
        for query in range(len(a)):
            total = np.int64(0)
            for word in range(a.shape[1]):
                # the classic bit-slice sum, which LLVM turns into the population count instruction
                x = a[query, word] ^ b[row, word]
                x = x - ((x >> one) & ones)
                x = (x & twos) + ((x >> two) & twos)
                x = (x + (x >> four)) & fours
                total += np.int64((x * every) >> top)
            out[query, row] = total
