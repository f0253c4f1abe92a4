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
        total = np.maximum(counts.sum(axis=1), 1)
        centred = []
        for column in records.T:
            ranks = _ranks(column, counts)
            centred.append(ranks - ((counts * ranks).sum(axis=1) / total)[:, None])
        x, y = centred
        spread = np.sqrt((counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1))
        found: Float64 = np.where(spread > 0, (counts * x * y).sum(axis=1) / np.where(spread > 0, spread, 1), 0)
        return found


def _ranks(x: Float64, counts: Int64) -> Float64:
    """Return (r, n): the mean rank of each unit's number in each resample."""
    distinct, group = np.unique(x, return_inverse=True)
    held = np.zeros((len(counts), len(distinct)), np.int64)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    held = np.add.reduceat(counts[:, order], starts, axis=1) if len(distinct) else held
    ends = np.cumsum(held, axis=1)
    ranks: Float64 = (ends - (held - 1) / 2)[:, group]
    return ranks
