"""Ranks of resamples: how well one order is another, for units that stand several times or not at all.

    rank of a unit = units before it + (those equal to it + 1) / 2        equal numbers share the mean of their ranks

One walk through the units in their order gives the ranks of a resample; nothing is sorted again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Int64
from cenote.kernels.compiled import compiled, compiled_sums


@compiled
def rank_correlations(
    first: Int64, first_group: Int64, second: Int64, second_group: Int64, counts: Int64
) -> NDArray[np.float64]:
    """Return (r,): the correlation of two ranks of n units in resamples that hold unit j counts[i, j] (r, n) times.

    first, second: the units in ascending order of a number (n,); groups: beside each, the number of that number among
    the distinct ones. 0 where one of the orders has a single number.
    """
    resamples, units = counts.shape
    found = np.zeros(resamples)
    x, y = np.empty(units), np.empty(units)
    for i in range(resamples):
        held = counts[i]
        total = _ranked(first, first_group, held, x)
        _ranked(second, second_group, held, y)
        found[i] = _correlation(x, y, held, (total + 1) / 2)  # the mean of all ranks, whatever is equal
    return found


@compiled_sums
def _correlation(x: NDArray[np.float64], y: NDArray[np.float64], held: Int64, middle: float) -> float:
    xx, yy, xy = 0.0, 0.0, 0.0
    for j in range(len(held)):
        a, b = x[j] - middle, y[j] - middle
        xx += held[j] * a * a
        yy += held[j] * b * b
        xy += held[j] * a * b
    return xy / np.sqrt(xx * yy) if xx > 0 and yy > 0 else 0.0


@compiled
def _ranked(order: Int64, group: Int64, held: Int64, ranks: NDArray[np.float64]) -> int:
    """Write the rank of every unit, and return how many units there are."""
    before, start = 0, 0
    while start < len(order):
        end, equal = start + 1, held[order[start]]
        while end < len(order) and group[end] == group[start]:
            equal += held[order[end]]
            end += 1
        rank = before + (equal + 1) / 2
        for j in range(start, end):
            ranks[order[j]] = rank
        before += equal
        start = end
    return before
