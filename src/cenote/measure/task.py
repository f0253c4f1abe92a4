"""What is measured: a system does something for every unit of a task, and gets one record for each.

`compare` knows only what is in this file, so a task of another kind (pairs, labels, clusters) changes nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32

Float64: TypeAlias = NDArray[np.float64]
Ranking: TypeAlias = list[tuple[str, float]]
"""(document id, score), best first."""
Listener: TypeAlias = Callable[[str, Ranking], None]
"""Told the unit and its ranking, as each is made."""
Progress: TypeAlias = Callable[[int], None]
"""Told how many more units are done."""
Told: TypeAlias = Callable[[str, int, int | None, str], None]
"""Told of a comparison the phase, how much of it is done, how much there is where that is known, and what comes now."""
Statistic: TypeAlias = Callable[[Float64], float]
"""records (n,) or (n, m) -> one number. One with a method `of_resamples(records, counts (r, n)) -> (r,)`, for records
that stand counts[i, j] times in resample i, is not called for every resample."""


class System(Protocol):
    """What is asked: a collection, or anything else that ranks documents."""

    def rank(self, texts: Sequence[str], depth: int) -> list[Ranking]:
        """Return at most `depth` documents for each text, best first."""


@dataclass(frozen=True)
class Records:
    """One record a unit: for every measure float64 (n,), or (n, m) where a statistic needs m numbers of a unit."""

    units: tuple[str, ...]
    values: Mapping[str, Float64]


class Vectorial(Protocol):
    """What is asked where there are texts and no documents: vectors of unit length."""

    def vectors(self, texts: Sequence[str]) -> Float32:
        """Return (n, d), row i from text i."""


S = TypeVar("S", contravariant=True)


class Task(Protocol[S]):
    """Units with a known answer, and the measures of a system on them."""

    @property
    def units(self) -> Sequence[str]:
        """One name each."""

    @property
    def measures(self) -> Sequence[str]:
        """The keys of the records."""

    @property
    def unit_name(self) -> str:
        """What a unit is called: question, pair, text."""

    @property
    def queries(self) -> Sequence[str]:
        """Texts to time a system with, one at a time."""

    @property
    def statistic(self) -> Statistic:
        """What makes one number of the records of a measure."""

    def score(self, system: S, *, listener: Listener | None = None, progress: Progress | None = None) -> Records:
        """Return the records of a system; `listener` hears every ranking, where the task makes rankings."""

    def describe(self, unit: str) -> str:
        """Return what a person calls the unit: the text of a question."""


def mean(records: Float64) -> float:
    """Return the mean of records (n,): the statistic of most tasks."""
    return float(np.mean(records))
