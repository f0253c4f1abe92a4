"""Small trainings that claims are checked by: the same budget for every method, its rate chosen on dev, several seeds.

    rate = argmax_r dev(train(first seeds, r))        scores = [test(train(seed, rate)) for seed in seeds]

Rates are tried beyond the sweep while the best of all lies on its edge.

A difference of two methods is paired seed by seed and unit by unit, and carries two intervals: Student's over the
seeds, and a bootstrap over the units of the mean over the seeds.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor, nn

from cenote.claims.finding import Figure
from cenote.encode.encoder import Encoder
from cenote.train.sweep import FURTHER, best_rate, rate_beyond

Float64 = NDArray[np.float64]
_RESAMPLES = 2000
_OUT_OF_REACH = 100


class Trial(NamedTuple):
    """One training: its score on dev and on test, greater is better, and what each test unit adds to the mean."""

    dev: float
    test: float
    units: Float64 | None = None


@dataclass(frozen=True)
class Runs:
    """A method after its sweep: the rate that dev chose, and test scores (seeds,) with their units (seeds, n).

    inside: whether rates below and above it were tried.
    """

    rate: float
    scores: Float64
    units: Float64 | None
    inside: bool = True


def tuned(train: Callable[[int, float], Trial], rates: Sequence[float], seeds: int, sweep: int = 1) -> Runs:
    """Train with every rate and the first `sweep` seeds, then with the rate that is best on dev and the other seeds.

    While the best is the first or the last of the rates, half a power of ten beyond it is tried too, up to four times.
    One thread computes.
    """
    with one_thread():
        swept = {rate: [train(seed, rate) for seed in range(sweep)] for rate in rates}
        while (further := rate_beyond(_dev(swept))) is not None and len(swept) < len(rates) + FURTHER:
            swept[further] = [train(seed, further) for seed in range(sweep)]
        rate, inside = best_rate(_dev(swept)), further is None
        trials = [*swept[rate], *(train(seed, rate) for seed in range(sweep, seeds))]
    units = [trial.units for trial in trials if trial.units is not None]
    return Runs(rate, np.array([trial.test for trial in trials]), np.stack(units) if units else None, inside)


def _dev(swept: dict[float, list[Trial]]) -> dict[float, float]:
    return {rate: sum(trial.dev for trial in trials) for rate, trials in swept.items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: small products gain nothing from a second, and sums are the same on any machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def fit(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    dev: Callable[[], float],
    rows: int,
    *,
    rate: float,
    steps: int,
    batch: int,
    seed: int,
    checks: int = 5,
) -> float:
    """Train with Adam under a cosine schedule, leave the model in eval mode as it was best on dev; return that score.

    loss: of the rows whose numbers it is given, drawn anew in every epoch. checks: how often dev is asked.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, kept = -np.inf, copy.deepcopy(model.state_dict())
    for step, chosen in zip(range(1, steps + 1), batches(rows, batch, generator), strict=False):
        model.train()
        optimiser.zero_grad()
        loss(chosen).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % max(steps // checks, 1) == 0 or step == steps:
            model.eval()
            with torch.inference_mode():
                score = dev()
            if score > best:
                best, kept = score, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    model.eval()
    return float(best)


def batches(rows: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the numbers of the rows of one batch after the other, epoch after epoch, in a new order each."""
    while True:
        yield from torch.split(torch.randperm(rows, generator=generator), min(batch, rows))


def over_seeds(values: Float64) -> tuple[float, float, float]:
    """Return the mean of values (seeds,) and Student's 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def over_units(values: Float64) -> tuple[float, float, float]:
    """Return the mean of values (n,) and the 95 % interval of 2,000 resamples."""
    random = np.random.default_rng(0)
    means = np.concatenate([random.choice(values, (_RESAMPLES // 20, len(values))).mean(1) for _ in range(20)])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def resampled(
    first: Float64, second: Float64, score: Callable[[Float64, NDArray[np.int64]], float], resamples: int = 400
) -> tuple[float, float, float]:
    """Return how far the first lies above the second (both (seeds, n)), and the 95 % interval of resamples of units.

    score: of one seed's units (n,), at the rows it is given. For scores that are no mean over the units.
    """
    random, n = np.random.default_rng(0), first.shape[1]

    def gained(rows: NDArray[np.int64]) -> float:
        return float(np.mean([score(one, rows) for one in first]) - np.mean([score(one, rows) for one in second]))

    found = [gained(rows) for rows in random.integers(n, size=(resamples, n))]
    low, high = np.quantile(found, [0.025, 0.975])
    return gained(np.arange(n)), float(low), float(high)


def figure(name: str, data: str, interval: tuple[float, float, float], digits: int = 4) -> Figure:
    """Return a figure of a mean and its interval, rounded."""
    return Figure(name, data, *(round(one, digits) for one in interval))


def scores(runs: dict[str, Runs], data: str, of: str) -> list[Figure]:
    """Return the mean score of each method with its interval over the seeds."""
    said = {True: "", False: ", the last tried"}
    return [
        figure(f"{of} of {name}, rate {one.rate:g}{said[one.inside]}", data, over_seeds(one.scores))
        for name, one in runs.items()
    ]


def differences(runs: dict[str, Runs], method: str, baseline: str, data: str, of: str) -> list[Figure]:
    """Return how far the method lies above the baseline, over the seeds and, where units are known, over them."""
    first, second = runs[method], runs[baseline]
    name = f"{of}: {method} less {baseline}"
    found = [figure(f"{name}, over seeds", data, over_seeds(first.scores - second.scores))]
    if first.units is not None and second.units is not None:
        found.append(figure(f"{name}, over units", data, over_units((first.units - second.units).mean(0))))
    return found


def shows(differing: Sequence[Figure]) -> bool | None:
    """Return True where every interval lies above 0, False where every one lies below, None where neither is so."""
    if all(one.low is not None and one.low > 0 for one in differing):
        return True
    return False if all(one.high is not None and one.high < 0 for one in differing) else None


def needed(holds: bool | None, differing: Sequence[Figure], seeds: int) -> str:
    """Return what would decide an undecided claim if the values of its figures stay as they are, else an empty text.

    An interval is as wide as one over the root of how many seeds or test items it is made of.
    """
    told: list[str] = []
    for one in differing if holds is None else ():
        low, high = one.low or 0.0, one.high or 0.0
        if low > 0 or high < 0:
            continue
        times = ((high - low) / 2 / max(abs(one.value), 1e-9)) ** 2
        data = one.name.endswith("over units")
        if times > _OUT_OF_REACH:
            told.append(f"no {'test data' if data else 'number of seeds'} within reach, so near to 0 does it lie")
        else:
            told.append(f"{times:.1f} times the test data" if data else f"about {np.ceil(times * seeds):.0f} seeds")
        told[-1] += f" ({one.name}, {one.data})"
    return f"To decide, were the differences to stay as they are, it would take {'; '.join(told)}." if told else ""


def together(shown: Sequence[bool | None]) -> bool | None:
    """Return what becomes of a claim of several parts: True where all show, False where one is contradicted."""
    return False if False in shown else None if None in shown else True


def word(shown: bool | None) -> str:
    """Return what `shows` found as the middle of a sentence."""
    return {True: "shows", False: "is contradicted at our scale", None: "does not show at our scale"}[shown]


def spread(one: Figure, digits: int = 4) -> str:
    """Return a figure as text: the value with its sign and the interval."""
    low, high = one.low or 0.0, one.high or 0.0
    return f"{one.value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


@dataclass(frozen=True)
class Frozen:
    """Token states of texts from a model that is not trained: x (M, D), offsets int64 (B + 1)."""

    x: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and offsets of some rows."""
        lengths = self.offsets.diff()[rows]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        places = torch.arange(int(offsets[-1])) + (self.offsets[rows] - offsets[:-1]).repeat_interleave(lengths)
        return self.x[places], offsets

    def pooled(self, pooler: nn.Module, batch: int = 512) -> Tensor:
        """Return what a pooler makes of all rows."""
        parts = torch.split(torch.arange(len(self)), batch)
        return torch.cat([pooler.forward_packed(*self.take(rows)) for rows in parts])  # type: ignore[operator]


def frozen(texts: Sequence[str], *, layer: int = -1, specials: bool = True, encoder: str = "minilm") -> Frozen:
    """Encode texts once and keep the states of a layer; specials=False leaves [CLS] and [SEP] out."""
    model = Encoder(encoder, dtype="fp32")
    found: list[Tensor] = [torch.zeros(0)] * len(texts)
    for states in model.states(texts, layers=[layer]):
        keep = states.keep if specials else states.keep & ~states.special
        cut = torch.split(states.layers[states.last], states.offsets.diff().tolist())
        kept = torch.split(keep, states.offsets.diff().tolist())
        for row, x, mask in zip(states.rows, cut, kept, strict=True):
            found[row] = x[mask].clone()
    lengths = torch.tensor([len(x) for x in found])
    return Frozen(torch.cat(found), torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


def table(place: Path, columns: Sequence[str]) -> list[list[str]]:
    """Return columns of a tab-separated file with a header, one list each."""
    with place.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [[row[column] for row in rows] for column in columns]


def sample(count: int, size: int, seed: int = 0) -> NDArray[np.int64]:
    """Return `size` different numbers below count, or all of them, drawn with a seed."""
    return np.random.default_rng(seed).permutation(count)[:size]
