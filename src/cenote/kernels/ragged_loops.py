"""Loops over rows of float32 tokens, from numba: each reads a row again while the cache still has it.

x (M, D), places int64 (K,): the tokens that the rows read, row after row; offsets int64 (B + 1): row b reads
places[offsets[b]:offsets[b + 1]]. A loop does the rows from `first` up to `last`, and trusts places and offsets. What
has a value a row, (B, D), is 0 where a row has no token; of what has a value a token, (M, D), the tokens between those
that the rows read are set to 0.
"""

from __future__ import annotations

import numpy as np

from cenote.arrays import Float32, Int64
from cenote.kernels.compiled import compiled_sums

_ONE, _ZERO = np.float32(1), np.float32(0)
_LOG2_E = np.float32(np.log2(np.e))
_LN2 = np.float32(0.693359375)
"""ln 2 to so few bits that its product with an exponent is exact; the next is what it lacks."""
_LN2_REST = np.float32(np.log(2) - 0.693359375)
_LEAST = np.float32(-87)
"""Powers of e below it are 0: soon they would be too small for a float32."""
_LEAST_OF_2 = np.float32(-126)
_C2, _C3, _C4, _C5, _C6 = (np.float32(1 / f) for f in (2, 6, 24, 120, 720))


@compiled_sums
def exp(x: np.float32) -> np.float32:
    """Return e to the power of x, not above 0, as arithmetic that becomes vectors."""
    whole = x * _LOG2_E
    whole = np.rint(whole if whole > _LEAST_OF_2 else _LEAST_OF_2)
    r = x - whole * _LN2 - whole * _LN2_REST
    series = _ONE + r * (_ONE + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6)))))
    power = series * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return _ZERO if x < _LEAST else power


@compiled_sums
def shared_by_reaching(
    places: Int64, offsets: Int64, x: Float32, most: Float32, slope: Float32, out: Float32, first: int, last: int
) -> None:
    """Write to out (M, D) the slope (B, D) where x reaches most (B, D), in equal shares of those that do."""
    width = x.shape[1]
    times, share = np.empty(width, np.float32), np.empty(width, np.float32)
    for b in range(first, last):
        start, stop, top, whole = offsets[b], offsets[b + 1], most[b], slope[b]
        times[:] = _ZERO
        for n in range(start, stop):  # mostly one token reaches it, and has all
            token, slopes = x[places[n]], out[places[n]]
            for j in range(width):
                reached = token[j] == top[j]
                times[j] += _ONE if reached else _ZERO
                slopes[j] = whole[j] if reached else _ZERO
        several = False
        for j in range(width):
            several |= times[j] > _ONE
            share[j] = _ONE / max(times[j], _ONE)
        if several:
            for n in range(start, stop):
                slopes = out[places[n]]
                for j in range(width):
                    slopes[j] *= share[j]
    clear(places, offsets, out, first, last)


@compiled_sums
def weighted(
    places: Int64, offsets: Int64, slope: Float32, weights: Float32, out: Float32, first: int, last: int
) -> None:
    """Write to out (M, D) the slope (B, D) of the row times the weight (K,) of the token."""
    for b in range(first, last):
        whole = slope[b]
        for n in range(offsets[b], offsets[b + 1]):
            slopes, weight = out[places[n]], weights[n]
            for j in range(slope.shape[1]):
                slopes[j] = weight * whole[j]
    clear(places, offsets, out, first, last)


@compiled_sums
def products(places: Int64, offsets: Int64, x: Float32, slope: Float32, out: Float32, first: int, last: int) -> None:
    """Write to out (K,) the product of each token with the slope (B, D) of its row."""
    for b in range(first, last):
        whole = slope[b]
        for n in range(offsets[b], offsets[b + 1]):
            token, total = x[places[n]], _ZERO
            for j in range(slope.shape[1]):
                total += token[j] * whole[j]
            out[n] = total


@compiled_sums
def powers(
    places: Int64, offsets: Int64, x: Float32, r: Float32, most: Float32, total: Float32, first: int, last: int
) -> None:
    """Write to total (B, D) the sum of e^(r x - most), r (), most (B, D)."""
    factor = r[()]
    for b in range(first, last):
        top, sums = most[b], total[b]
        sums[:] = _ZERO
        for n in range(offsets[b], offsets[b + 1]):
            token = x[places[n]]
            for j in range(x.shape[1]):
                sums[j] += exp(factor * token[j] - top[j])


@compiled_sums
def power_slopes(
    places: Int64,
    offsets: Int64,
    x: Float32,
    r: Float32,
    level: Float32,
    slope: Float32,
    out: Float32,
    first: int,
    last: int,
) -> None:
    """Write to out (M, D) the slope (B, D) times e^(r x - level), r (), level (B, D)."""
    factor = r[()]
    for b in range(first, last):
        top, whole = level[b], slope[b]
        for n in range(offsets[b], offsets[b + 1]):
            token, slopes = x[places[n]], out[places[n]]
            for j in range(x.shape[1]):
                slopes[j] = whole[j] * exp(factor * token[j] - top[j])
    clear(places, offsets, out, first, last)


@compiled_sums
def soft_sums(
    places: Int64,
    offsets: Int64,
    x: Float32,
    scores: Float32,
    most: Float32,
    powers: Float32,
    total: Float32,
    first: int,
    last: int,
) -> None:
    """Write to powers (B, D) the sum of e^(scores - most), most (B, D), and to total (B, D) that of their products."""
    for b in range(first, last):
        top, weights, sums = most[b], powers[b], total[b]
        weights[:] = _ZERO
        sums[:] = _ZERO
        for n in range(offsets[b], offsets[b + 1]):
            token, score = x[places[n]], scores[places[n]]
            for j in range(x.shape[1]):
                power = exp(score[j] - top[j])
                weights[j] += power
                sums[j] += power * token[j]


@compiled_sums
def soft_slopes(
    places: Int64,
    offsets: Int64,
    x: Float32,
    scores: Float32,
    level: Float32,
    mean: Float32,
    slope: Float32,
    of_x: Float32,
    of_scores: Float32,
    first: int,
    last: int,
) -> None:
    """Write w = slope e^(scores - level) to of_x (M, D), w (x - mean) to of_scores; level, mean, slope (B, D)."""
    for b in range(first, last):
        top, middle, whole = level[b], mean[b], slope[b]
        for n in range(offsets[b], offsets[b + 1]):
            token, score, direct, through = x[places[n]], scores[places[n]], of_x[places[n]], of_scores[places[n]]
            for j in range(x.shape[1]):
                weight = whole[j] * exp(score[j] - top[j])
                direct[j] = weight
                through[j] = weight * (token[j] - middle[j])
    clear(places, offsets, of_x, first, last)
    clear(places, offsets, of_scores, first, last)


@compiled_sums
def soft_slopes_of_itself(
    places: Int64,
    offsets: Int64,
    x: Float32,
    level: Float32,
    mean: Float32,
    slope: Float32,
    out: Float32,
    first: int,
    last: int,
) -> None:
    """Write slope e^(x - level) (1 + x - mean) to out (M, D); level, mean, slope (B, D)."""
    for b in range(first, last):
        top, middle, whole = level[b], mean[b], slope[b]
        for n in range(offsets[b], offsets[b + 1]):
            token, slopes = x[places[n]], out[places[n]]
            for j in range(x.shape[1]):
                slopes[j] = whole[j] * exp(token[j] - top[j]) * (_ONE + (token[j] - middle[j]))
    clear(places, offsets, out, first, last)


@compiled_sums
def softmax(places: Int64, offsets: Int64, scores: Float32, out: Float32, first: int, last: int) -> None:
    """Write to out (M, C) the softmax of the scores (M, C) over each row, all of whose tokens follow each other."""
    for b in range(first, last):
        start, stop = offsets[b], offsets[b + 1]
        for j in range(scores.shape[1]):
            most, total = -np.float32(np.inf), _ZERO
            for n in range(start, stop):
                most = max(most, scores[n, j])
            for n in range(start, stop):
                out[n, j] = exp(scores[n, j] - most)
                total += out[n, j]
            for n in range(start, stop):
                out[n, j] /= total


@compiled_sums
def softmax_slopes(
    places: Int64, offsets: Int64, weights: Float32, slope: Float32, out: Float32, first: int, last: int
) -> None:
    """Write to out (M, C) the slopes in the scores whose softmax is weights (M, C)."""
    for b in range(first, last):
        start, stop = offsets[b], offsets[b + 1]
        for j in range(weights.shape[1]):
            mean = _ZERO
            for n in range(start, stop):
                mean += weights[n, j] * slope[n, j]
            for n in range(start, stop):
                out[n, j] = weights[n, j] * (slope[n, j] - mean)


@compiled_sums
def greatest_places(
    places: Int64, offsets: Int64, x: Float32, counts: Int64, out: Int64, first: int, last: int
) -> None:
    """Write to out (B, K, D) the places of the counts (B,) greatest values of each row, ascending.

    Of equal ones the first; what is no number is greater than any. Behind the counts nothing is written.
    """
    slots, width = out.shape[1], x.shape[1]
    values, where = np.empty((slots, width), np.float32), np.empty((slots, width), np.int32)
    value, place = np.empty(width, np.float32), np.empty(width, np.int32)
    for b in range(first, last):
        where[:] = -1
        values[:] = _ZERO
        for n in range(offsets[b], offsets[b + 1]):
            value[:] = x[places[n]]
            place[:] = n - offsets[b]
            for k in range(slots):  # a value takes the slot of a less one, which looks for the next
                at, who = values[k], where[k]
                for j in range(width):
                    a, v, p, q = at[j], value[j], who[j], place[j]
                    first = q < p
                    higher = (v > a) | (p < 0) | ((v == a) & first) | ((v != v) & ((a == a) | first))
                    at[j] = v if higher else a
                    value[j] = a if higher else v
                    who[j] = q if higher else p
                    place[j] = p if higher else q
        for j in range(width):
            for k in range(counts[b]):
                found, m = where[k, j], k
                while m > 0 and where[m - 1, j] > found:
                    where[m, j] = where[m - 1, j]
                    m -= 1
                where[m, j] = found
        for k in range(counts[b]):
            for j in range(width):
                out[b, k, j] = places[offsets[b] + where[k, j]]


@compiled_sums
def clear(places: Int64, offsets: Int64, out: Float32, first: int, last: int) -> None:
    """Set to 0 the tokens in front of and between those that the rows read, behind the last of all as well."""
    start, stop = offsets[first], offsets[last]
    n = places[start - 1] + 1 if start > 0 else 0
    for k in range(start, stop):
        for gap in range(n, places[k]):
            out[gap] = _ZERO
        n = places[k] + 1
    if last == len(offsets) - 1:
        for gap in range(n, len(out)):
            out[gap] = _ZERO
