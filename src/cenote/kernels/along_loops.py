"""Loops over rows x (R, N) of float32 that lie one behind the other, from numba; a loop does those from first to last.

What has a value a row is (R,), what has one a number (R, N).
"""

from __future__ import annotations

import numpy as np

from cenote.arrays import Bool, Float32
from cenote.kernels.compiled import compiled_sums
from cenote.kernels.ragged_loops import exp

_ONE, _ZERO = np.float32(1), np.float32(0)


@compiled_sums
def shared_by_reaching(
    x: Float32, kept: Bool, most: Float32, slope: Float32, out: Float32, first: int, last: int
) -> None:
    """Write to out the slope where x is kept (B, N) and reaches most, in equal shares of those that do."""
    alike = len(x) // len(kept)
    for b in range(first, last):
        row, keep, slopes, top, times = x[b], kept[b // alike], out[b], most[b], _ZERO
        for n in range(x.shape[1]):
            times += _ONE if (row[n] == top) & keep[n] else _ZERO
        share = slope[b] / max(times, _ONE)
        for n in range(x.shape[1]):
            slopes[n] = share if (row[n] == top) & keep[n] else _ZERO


@compiled_sums
def powers(x: Float32, r: Float32, most: Float32, total: Float32, first: int, last: int) -> None:
    """Write to total the sum of e^(r x - most), r ()."""
    factor = r[()]
    for b in range(first, last):
        row, top, sums = x[b], most[b], _ZERO
        for n in range(x.shape[1]):
            sums += exp(factor * row[n] - top)
        total[b] = sums


@compiled_sums
def power_slopes(x: Float32, r: Float32, level: Float32, slope: Float32, out: Float32, first: int, last: int) -> None:
    """Write to out the slope times e^(r x - level), r ()."""
    factor = r[()]
    for b in range(first, last):
        row, slopes, top, whole = x[b], out[b], level[b], slope[b]
        for n in range(x.shape[1]):
            slopes[n] = whole * exp(factor * row[n] - top)


@compiled_sums
def soft_sums(x: Float32, level: Float32, mean: Float32, first: int, last: int) -> None:
    """Write to mean what the powers of e weigh x to, and to level, which holds the greatest, the log of their sum."""
    for b in range(first, last):
        row, top, total, sums = x[b], level[b], _ZERO, _ZERO
        for n in range(x.shape[1]):
            power = exp(row[n] - top)
            total += power
            sums += power * row[n]
        mean[b] = sums / total
        level[b] = top + np.log(total)


@compiled_sums
def soft_slopes(x: Float32, level: Float32, mean: Float32, slope: Float32, out: Float32, first: int, last: int) -> None:
    """Write slope e^(x - level) (1 + x - mean) to out."""
    for b in range(first, last):
        row, slopes, top, middle, whole = x[b], out[b], level[b], mean[b], slope[b]
        for n in range(x.shape[1]):
            slopes[n] = whole * exp(row[n] - top) * (_ONE + (row[n] - middle))
