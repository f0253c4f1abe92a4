"""What a comparison found: one result a recipe, which differences are real, and the verdict."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cenote import registry
from cenote.measure.bootstrap import LEAST_UNITS, Bootstrap, bootstrap
from cenote.measure.task import Float64, Records, Statistic, mean
from cenote.measure.verdict import Contender, Failure, settling, verdict

if TYPE_CHECKING:
    import pandas

TITLES = {
    "ndcg_at_10": "nDCG@10",
    "mrr_at_10": "MRR@10",
    "recall_at_10": "recall@10",
    "recall_at_100": "recall@100",
    "map": "MAP",
    "spearman": "Spearman",
}


@dataclass(frozen=True)
class Result:
    """One recipe measured; where it did not run `error` says why and everything else is None.

    trained: what the run of its pooler tells of its training, where it was trained for this comparison.
    """

    recipe: str
    records: Records | None = None
    bytes_per_document: float | None = None
    first_pass_bytes_per_document: float | None = None
    build_s: float | None = None
    ms_per_query: float | None = None
    error: str | None = None
    trained: Mapping[str, Any] | None = None

    @property
    def rate(self) -> str:
        """The learning rate of its pooler as the table says it; empty where none was trained."""
        if self.trained is None:
            return ""
        if not self.trained["rate"]:
            return "start"
        return f"{self.trained['rate']:g}" + ("" if self.trained["rate_inside"] else ", edge")


@dataclass(frozen=True)
class Change:
    """A question that a recipe answers better or worse than the baseline."""

    unit: str
    question: str
    baseline: float
    score: float

    @property
    def difference(self) -> float:
        """Score minus the baseline's."""
        return self.score - self.baseline


@dataclass(frozen=True)
class Comparison:
    """Recipes measured on the same units, the first of them the baseline.

    results: in the order the recipes were given. units: unit -> what a person calls it. measure: the one that decides.
    margin: what a recipe may lose and still count as not worse. unit: what the task calls a unit.
    """

    results: Sequence[Result]
    units: Mapping[str, str]
    measure: str = "ndcg_at_10"
    margin: float = 0.01
    seed: int = 0
    statistic: Statistic = field(default=mean, repr=False)
    unit: str = "question"

    @cached_property
    def _ran(self) -> list[int]:
        """The results that ran, smallest first: among equal scores the smallest wins."""
        ran = [i for i, result in enumerate(self.results) if result.records is not None]
        return sorted(ran, key=lambda i: self.results[i].bytes_per_document or 0.0)

    @cached_property
    def _values(self) -> Float64:
        """(recipes that ran, units, …), in the order of `_ran`."""
        return np.stack([self._of(self.results[i]) for i in self._ran])

    @property
    def _trains(self) -> bool:
        """Whether poolers were trained for it."""
        return any(result.trained is not None for result in self.results)

    def _of(self, result: Result) -> Float64:
        if result.records is None:
            raise ValueError(f'"{result.recipe}" did not run ({result.error}), so it has no records')
        return result.records.values[self.measure]

    @cached_property
    def bootstrap(self) -> Bootstrap | None:
        """The resamples of the recipes that ran, smallest first; None for none, or for fewer than 10 units."""
        if not self._ran or len(self.units) < LEAST_UNITS:
            return None
        return bootstrap(self._values, self.statistic, seed=self.seed)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Recipe -> score, of those that ran."""
        return {self.results[i].recipe: self.statistic(self._of(self.results[i])) for i in sorted(self._ran)}

    @property
    def records(self) -> dict[str, Records]:
        """Recipe -> every measure of every unit, of those that ran."""
        return {result.recipe: result.records for result in self.results if result.records is not None}

    @property
    def baseline(self) -> str:
        """The first recipe: what differences are from."""
        return self.results[0].recipe

    @property
    def winner(self) -> str | None:
        """The recipe that scores highest, of equals the smallest; None where none ran."""
        ran = [self.results[i].recipe for i in self._ran]
        return max(ran, key=self.scores.__getitem__) if ran else None

    @property
    def title(self) -> str:
        """The measure, as people write it."""
        return TITLES.get(self.measure, self.measure)

    @cached_property
    def _contenders(self) -> list[Contender]:
        ran = (self.results[i] for i in self._ran)
        return [Contender(result.recipe, result.bytes_per_document or 0.0) for result in ran]

    @cached_property
    def verdict(self) -> str:
        """The answer in plain words."""
        return verdict(
            self._contenders,
            [Failure(result.recipe, result.error) for result in self.results if result.error is not None],
            self.bootstrap,
            units=len(self.units),
            margin=self.margin,
            measure=self.title,
            scores=[self.scores[contender.name] for contender in self._contenders],
            unit=self.unit,
        )

    @property
    def questions_needed(self) -> int | None:
        """About how many more questions would settle the nearest open case; None where nothing is open."""
        if len(self._ran) < 2:
            return None
        if self.bootstrap is None:
            return LEAST_UNITS - len(self.units)
        case = settling(self._contenders, self.bootstrap, self.margin)
        return None if case is None else case[1]

    def to_dict(self) -> dict[str, Any]:
        """Return what `cenote compare --json` prints; where poolers were trained, with the rate that each took."""
        return {
            "baseline": self.baseline,
            "measure": self.measure,
            "verdict": self.verdict,
            "questions_needed": self.questions_needed,
            "winner": {"recipe": self.winner, "corrected": self.bootstrap.corrected if self.bootstrap else None},
            "recipes": [self._row(i) for i in range(len(self.results))],
        }

    def _row(self, i: int) -> dict[str, Any]:
        result, found = self.results[i], self.bootstrap
        score = self.scores.get(result.recipe)
        first = self.scores.get(self.baseline)
        row: dict[str, Any] = {
            "recipe": result.recipe,
            "score": score,
            "difference": score - first if score is not None and first is not None else None,
            "low": None,
            "high": None,
            "told_apart": None,
            "not_worse": None,
            "bytes_per_document": result.bytes_per_document,
            "first_pass_bytes_per_document": result.first_pass_bytes_per_document,
            "build_s": result.build_s,
            "ms_per_query": result.ms_per_query,
            "error": result.error,
        }
        if self._trains:
            row |= {name: result.trained and result.trained[name] for name in ("rate", "rate_inside")}
        if score is None:
            return row
        if i == 0:
            row |= {"difference": 0.0, "low": 0.0, "high": 0.0, "told_apart": False}
        if found is not None:
            place = self._ran.index(i)
            row["not_worse"] = bool(found.not_worse(self.margin)[place])
            if i > 0 and first is not None:
                base = self._ran.index(0)
                row |= {
                    "difference": float(found.difference[place, base]),
                    "low": float(found.low[place, base]),
                    "high": float(found.high[place, base]),
                    "told_apart": bool(found.told_apart[place, base]),
                }
        return row

    def from_winner(self, recipe: str) -> tuple[float, float] | None:
        """Return the interval of a recipe's difference from the winner; None where there is none."""
        names = [contender.name for contender in self._contenders]
        if self.bootstrap is None or recipe not in names:
            return None
        place, winner = names.index(recipe), self.bootstrap.winner
        return float(self.bootstrap.low[place, winner]), float(self.bootstrap.high[place, winner])

    def questions_won(self, recipe: str) -> list[Change]:
        """Return the questions that a recipe answers better than the baseline, the largest gain first.

        Raises ValueError for a recipe that was not compared or did not run.
        """
        return sorted(self._changes(recipe, 1.0), key=lambda change: -change.difference)

    def questions_lost(self, recipe: str) -> list[Change]:
        """Return the questions that a recipe answers worse than the baseline, the largest loss first.

        Raises ValueError for a recipe that was not compared or did not run.
        """
        return sorted(self._changes(recipe, -1.0), key=lambda change: change.difference)

    def _changes(self, recipe: str, sign: float) -> list[Change]:
        by_name = {result.recipe: result for result in self.results}
        if recipe not in by_name:
            near = registry.nearest(recipe, by_name)
            hint = f'the nearest is "{near}"' if near else f"compared are {', '.join(map(repr, by_name))}"
            raise ValueError(f'"{recipe}" is not among the recipes compared; {hint}')
        old, new = self._of(self.results[0]), self._of(by_name[recipe])
        if old.ndim > 1:
            raise ValueError(f"{self.measure} is no score of single units, so none is won or lost")
        pairs = zip(self.units.items(), old, new, strict=True)
        return [Change(unit, said, float(a), float(b)) for (unit, said), a, b in pairs if (b - a) * sign > 0]

    @property
    def ranked(self) -> list[Result]:
        """The results, the highest score first, of equals the smallest; those that did not run last."""
        ran = sorted(self._ran, key=lambda i: -self.scores[self.results[i].recipe])
        return [self.results[i] for i in ran] + [result for result in self.results if result.records is None]

    def table(self, *, ranked: bool = False) -> list[tuple[str, ...]]:
        """Return the rows of the table that `cenote compare` prints, the first one its header.

        ranked: whether the best comes first; else recipes stand in the order in which they were given.
        """
        rates = ("rate",) if self._trains else ()
        rows: list[tuple[str, ...]] = [
            ("recipe", self.title, "difference", "95 % interval", "bytes", "ms", "build s", *rates, "")
        ]
        place = {result.recipe: i for i, result in enumerate(self.results)}
        for result in self.ranked if ranked else self.results:
            i = place[result.recipe]
            row = self._row(i)
            low, high = row["low"], row["high"]
            rows.append(
                (
                    result.recipe,
                    _number(row["score"], ".4f"),
                    _number(row["difference"], "+.4f"),
                    f"{low:+.4f} to {high:+.4f}" if low is not None and i > 0 else "",
                    _number(result.bytes_per_document, ",.0f"),
                    _number(result.ms_per_query, ".2f"),
                    _number(result.build_s, ".1f"),
                    *(result.rate for _ in rates),
                    self.standing(result.recipe),
                )
            )
        return rows

    def standing(self, recipe: str) -> str:
        """Return what is said of a recipe beside the winner: best, highest, as good, worse, …, as the verdict says it.

        Empty where there is no verdict: of fewer than 10 units, or where nothing else ran.
        """
        i = next(i for i, result in enumerate(self.results) if result.recipe == recipe)
        result, found = self.results[i], self.bootstrap
        if result.error is not None:
            return f"did not run: {result.error.splitlines()[0]}"
        if found is None or len(self._ran) < 2:
            return ""
        place = self._ran.index(i)
        if place == found.winner:
            # its own place is not told apart either
            return "best" if found.told_apart[place].sum() == len(self._ran) - 1 else "highest"
        if found.identical[place, found.winner]:
            return "identical here"
        if found.told_apart[place, found.winner]:
            return "worse"
        return "as good" if found.not_worse(self.margin)[place] else "not told apart"

    def to_pandas(self) -> pandas.DataFrame:
        """Return the recipes as a pandas data frame, one row each, with the keys of `to_dict`."""
        import pandas

        return pandas.DataFrame(self.to_dict()["recipes"])

    def to_csv(self, path: str | Path) -> None:
        """Write the recipes as a csv file, one row each, with the keys of `to_dict`; what is None is empty."""
        rows = self.to_dict()["recipes"]
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def plot(self, path: str | Path) -> None:
        """Draw it as PNG or SVG by the suffix of the path.

        Scores against bytes, with intervals and the frontier; where all recipes take the same, or texts were compared
        without documents, a ranking.

        Raises ValueError for another suffix, or when no recipe ran.
        """
        from cenote.measure.plot import plot

        plot(self, path)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
