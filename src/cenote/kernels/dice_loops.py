"""Loops of `kernels.dice`, in the form of those of `kernels.ragged_loops`."""

from __future__ import annotations

import numpy as np

from cenote.arrays import Float32, Int64
from cenote.kernels.compiled import compiled_sums
from cenote.kernels.ragged_loops import clear, exp

_ONE, _TWO, _ZERO = np.float32(1), np.float32(2), np.float32(0)
_LEAST = np.float32(np.finfo(np.float32).tiny ** 0.5)
"""Added to squares, so that nothing is as similar to nothing as to anything else."""


@compiled_sums
def means(
    places: Int64,
    offsets: Int64,
    x: Float32,
    mean: Float32,
    total: Float32,
    out: Float32,
    first: int,
    last: int,
) -> None:
    """Write to mean, total and out (B, D) the plain mean, the sum of e^(s - 1), and the mean weighted by them."""
    width = x.shape[1]
    for b in range(first, last):
        start, stop, middle, powers, sums = offsets[b], offsets[b + 1], mean[b], total[b], out[b]
        middle[:] = _ZERO
        powers[:] = _ZERO
        sums[:] = _ZERO
        for n in range(start, stop):
            token = x[places[n]]
            for j in range(width):
                middle[j] += token[j]
        for j in range(width):
            middle[j] /= np.float32(max(stop - start, 1))
        for n in range(start, stop):
            token = x[places[n]]
            for j in range(width):
                u, m = token[j], middle[j]
                power = exp(_TWO * u * m / (u * u + (m * m + _LEAST)) - _ONE)
                powers[j] += power
                sums[j] += power * u
        for j in range(width):
            sums[j] /= powers[j] if stop > start else _ONE


@compiled_sums
def slopes(
    places: Int64,
    offsets: Int64,
    x: Float32,
    mean: Float32,
    total: Float32,
    weighted: Float32,
    slope: Float32,
    out: Float32,
    first: int,
    last: int,
) -> None:
    """Write to out (M, D) the slopes in x of the weighted mean (B, D) whose slope is given."""
    width = x.shape[1]
    through = np.empty(width, np.float32)
    for b in range(first, last):
        start, stop, middle, powers, found, whole = offsets[b], offsets[b + 1], mean[b], total[b], weighted[b], slope[b]
        through[:] = _ZERO
        for n in range(start, stop):
            token, slopes_of = x[places[n]], out[places[n]]
            for j in range(width):
                u, m = token[j], middle[j]
                inverse = _ONE / (u * u + (m * m + _LEAST))
                similar = _TWO * u * m * inverse
                direct = whole[j] * exp(similar - _ONE) / powers[j]
                of_similar = direct * (u - found[j]) * _TWO * inverse
                slopes_of[j] = direct + of_similar * (m - u * similar)
                through[j] += of_similar * (u - m * similar)
        for j in range(width):
            through[j] /= np.float32(max(stop - start, 1))
        for n in range(start, stop):
            slopes_of = out[places[n]]
            for j in range(width):
                slopes_of[j] += through[j]
    clear(places, offsets, out, first, last)
