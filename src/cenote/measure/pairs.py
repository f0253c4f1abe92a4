"""Pairs: are texts that people find alike near each other. The statistic is Spearman's over all pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cenote.measure.annotated import Pair
from cenote.measure.correlation import Spearman
from cenote.measure.task import Listener, Progress, Records, Vectorial


class PairsTask:
    """Pairs of texts with a score (semantic textual similarity). A unit is a pair: (cosine, score)."""

    measures: Sequence[str] = ("spearman",)
    unit_name = "pair"

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self.statistic = Spearman()
        if len({pair.score for pair in self.pairs}) < 2:
            raise ValueError("all pairs have one score; pairs that are more and less alike are expected")

    @property
    def units(self) -> list[str]:
        """The pairs, numbered from 1."""
        return [str(n) for n in range(1, len(self.pairs) + 1)]

    @property
    def queries(self) -> list[str]:
        """The first texts."""
        return [pair.first for pair in self.pairs]

    @property
    def sample(self) -> list[str]:
        """Texts that a stage may learn from without their scores: both of every pair."""
        return [text for pair in self.pairs for text in (pair.first, pair.second)]

    @property
    def texts(self) -> list[str]:
        """Both texts of every pair."""
        return self.sample

    def describe(self, unit: str) -> str:
        """Return both texts."""
        pair = self.pairs[int(unit) - 1]
        return f"{pair.first} / {pair.second}"

    def score(
        self, system: Vectorial, *, listener: Listener | None = None, progress: Progress | None = None
    ) -> Records:
        """Return the cosine and the score of every pair: {"spearman": (n, 2)}."""
        x = system.vectors(self.sample).astype(np.float64)
        if progress is not None:
            progress(len(self.pairs))
        gold = [pair.score for pair in self.pairs]
        found = np.stack([(x[0::2] * x[1::2]).sum(axis=1), gold], axis=1)
        return Records(tuple(self.units), {"spearman": found})
