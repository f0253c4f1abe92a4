"""Which differences between systems are real: a paired bootstrap over the units that they share.

Every resample draws units with replacement, the same ones for all systems. The intervals of all pairs of differences
hold together with 95 %:

    d_ij ± t · se_ij        t = the 95 % point, over resamples, of  max_ij |d*_ij - d_ij| / se_ij

se_ij is the spread of d*_ij. A bootstrap from n units is too narrow by the factor sqrt((n - 1) / n), and its tails are
those of a normal where Student's with n - 1 degrees apply; both are corrected.

Romano & Wolf, "Exact and approximate stepdown methods for multiple hypothesis testing", JASA 100 (2005); Hesterberg,
"What teachers should know about the bootstrap", The American Statistician 69 (2015), section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cenote.arrays import Bool, Int64
from cenote.measure.task import Float64, Statistic, mean

LEAST_UNITS = 10
"""Fewer units than this say nothing about differences."""
_CELLS = 2**22
"""Numbers in the largest temporary array, so that memory does not grow with units or systems."""


@dataclass(frozen=True)
class Bootstrap:
    """What the resamples say. S systems on n units; matrices are (S, S) and speak of row minus column.

    scores: the statistic of each system (S,). difference: scores[i] - scores[j]. half: half the width of its interval.
    identical: equal on every unit. winner: the system that scores highest, the first of equals.
    corrected: the winner's score without the luck of having been picked on these units: picked on a resample, scored on
    the units left out of it, averaged. critical: t.
    """

    units: int
    scores: Float64
    difference: Float64
    half: Float64
    identical: Bool
    winner: int
    corrected: float
    critical: float

    @property
    def low(self) -> Float64:
        """Lower ends of the intervals."""
        return self.difference - self.half

    @property
    def high(self) -> Float64:
        """Upper ends of the intervals."""
        return self.difference + self.half

    @property
    def told_apart(self) -> Bool:
        """Where the interval leaves 0 out."""
        return np.asarray((self.low > 0) | (self.high < 0))

    def not_worse(self, margin: float) -> Bool:
        """Return for each system (S,) whether the winner's lead over it is surely below the margin."""
        return np.asarray(self.identical[:, self.winner] | (self.low[:, self.winner] > -margin))

    def questions_needed(self, i: int, j: int, margin: float) -> int | None:
        """Return about how many more units would settle a pair: tell it apart, or show it equal to within the margin.

        Intervals narrow with the square root of the units. 0 where it is settled; None where no number would do.
        """
        half, wanted = float(self.half[i, j]), max(abs(float(self.difference[i, j])), margin)
        if half <= wanted:
            return 0
        return math.ceil(self.units * ((half / wanted) ** 2 - 1)) if wanted > 0 else None


def bootstrap(
    values: Float64,
    statistic: Statistic = mean,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Bootstrap:
    """Resample the records of S systems on the same n units: float64 (S, n), or (S, n, m) for other statistics.

    The mean is computed for all systems at once; another statistic is called once a system and resample.
    Raises ValueError for fewer than 10 units, no systems, or records that are not finite.
    """
    if values.ndim < 2 or len(values) == 0:
        raise ValueError(f"records have shape {values.shape}; (systems, units) with at least one system is expected")
    if values.shape[1] < LEAST_UNITS:
        raise ValueError(f"{values.shape[1]} units are too few for intervals; at least {LEAST_UNITS} are needed")
    if not np.isfinite(values).all():
        raise ValueError("records must be finite numbers; leave out a system that has none for some unit")
    scores = np.array([statistic(rows) for rows in values])
    identical = _identical(values)
    drawn, corrected = _resample(values, statistic, resamples, seed)
    drawn -= scores
    difference = scores[:, None] - scores[None, :]
    difference[identical] = 0.0
    spread = _spread(drawn, identical, float(np.abs(values).max()))
    units = values.shape[1]
    critical = _critical(drawn, spread, confidence, units)
    half = critical * spread
    return Bootstrap(units, scores, difference, half, identical, int(scores.argmax()), corrected, critical)


def _identical(values: Float64) -> Bool:
    """(S, S): whether two systems have the same record for every unit."""
    flat = np.ascontiguousarray(values.reshape(len(values), -1))
    _, group = np.unique(flat, axis=0, return_inverse=True)
    group = group.reshape(-1)
    return np.asarray(group[:, None] == group[None, :])


def _draws(units: int, resamples: int, seed: int) -> Iterator[tuple[Int64, Int64]]:
    """Blocks of resamples: the units drawn (r, n), and how often each was (r, n)."""
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // units)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(0, units, (rows, units))
        cells = drawn + units * np.arange(rows)[:, None]
        yield drawn, np.bincount(cells.ravel(), minlength=rows * units).reshape(rows, units)


def _resample(values: Float64, statistic: Statistic, resamples: int, seed: int) -> tuple[Float64, float]:
    """The statistic of every resample and system (R, S), and the score of the picked on what was left out."""
    scores, picked = [], []
    for drawn, counts in _draws(values.shape[1], resamples, seed):
        left = counts == 0
        if statistic is mean:
            block = counts @ values.T / values.shape[1]
            best = block.argmax(axis=1)
            held = left.sum(axis=1)
            # with few units a resample may hold them all; it has nothing to say about the picked one
            whole = held > 0
            sums = np.einsum("rn,rn->r", left[whole], values[best[whole]])
            picked.append(sums / held[whole])
        elif (at_once := getattr(statistic, "of_resamples", None)) is not None:
            block = np.stack([at_once(rows, counts) for rows in values], axis=1)
            whole = left.any(axis=1)
            rest = np.stack([at_once(rows, left[whole].astype(np.int64)) for rows in values], axis=1)
            picked.append(rest[np.arange(len(rest)), block[whole].argmax(axis=1)])
        else:
            block = np.array([[statistic(rows[units]) for rows in values] for units in drawn])
            pairs = zip(block.argmax(axis=1), left, strict=True)
            picked.append(np.array([statistic(values[best][rest]) for best, rest in pairs if rest.any()]))
        scores.append(block)
    return np.concatenate(scores), float(np.concatenate(picked).mean())


def _pairs(drawn: Float64) -> Iterator[tuple[int, slice, Float64]]:
    """For every system i, the deviations (R, j) of its differences from later systems, some at a time."""
    resamples, systems = drawn.shape
    step = max(1, _CELLS // resamples)
    for i in range(systems - 1):
        for start in range(i + 1, systems, step):
            others = slice(start, min(start + step, systems))
            yield i, others, drawn[:, i, None] - drawn[:, others]


def _spread(drawn: Float64, identical: Bool, scale: float) -> Float64:
    """(S, S): the spread of every difference over the resamples; exactly 0 where they do not vary."""
    spread = np.zeros(identical.shape)
    for i, others, deviation in _pairs(drawn):
        spread[i, others] = deviation.std(axis=0)
    # a difference that is the same on every unit varies by rounding alone
    spread[spread <= 1e-12 * scale] = 0.0
    spread += spread.T
    spread[identical] = 0.0
    return spread


def _critical(drawn: Float64, spread: Float64, confidence: float, units: int) -> float:
    from scipy.special import ndtr, stdtrit

    largest = np.zeros(len(drawn))
    for i, others, deviation in _pairs(drawn):
        varies = spread[i, others] > 0
        studentised = np.abs(deviation[:, varies]) / spread[i, others][varies]
        np.maximum(largest, studentised.max(axis=1, initial=0.0), out=largest)
    normal = float(np.quantile(largest, confidence))
    return float(-stdtrit(units - 1, ndtr(-normal))) * math.sqrt(units / (units - 1))
