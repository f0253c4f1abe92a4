"""Spearman: how well the order of predicted numbers is the order of the true ones.

    rho = corr(rank(predicted), rank(gold))        equal numbers share the mean of their ranks

Spearman, "The proof and measurement of association between two things" (1904).
"""

from __future__ import annotations

import numpy as np

from cenote.arrays import Int64
from cenote.measure.task import Float64


class Spearman:
    """The statistic of records (n, 2): predicted, gold. 0 where either of them is the same for all."""

    def __call__(self, records: Float64) -> float:
        """Return rho of records (n, 2)."""
        return float(self.of_resamples(records, np.ones((1, len(records)), np.int64))[0])

    def of_resamples(self, records: Float64, counts: Int64) -> Float64:
        """Return rho (r,) of resamples: row i holds unit j counts[i, j] times. Nothing is sorted again."""
        from cenote.kernels.ranks import rank_correlations

        orders = [part for column in records.T for part in _ordered(column)]
        found: Float64 = rank_correlations(*orders, np.ascontiguousarray(counts, np.int64))
        return found


def _ordered(x: Float64) -> tuple[Int64, Int64]:
    """Return the units in ascending order, and beside each which of the distinct numbers it has."""
    _, group = np.unique(x, return_inverse=True)
    order = np.argsort(group, kind="stable")
    return order, group[order]
