"""A sentence encoder tuned on mined paraphrases, pooled by a recurrent network, beats the same encoder untuned.

Dadas, "Training effective neural sentence encoders from automatically mined paraphrases" (2207.12759). There Polish,
millions of pairs, and encoders that are tuned whole; here English sentences of STS-B's training part that share a
translation in one of six languages, a few hundred pairs, and MiniLM, whose states stay as they are: those of its last
layer, tuned on paraphrases by its makers, and its token embeddings. Nothing here encodes both languages, so that
translations are not weighed against their pivot.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.finding import Figure, Finding
from cenote.claims.training import (
    Float64,
    Frozen,
    Runs,
    Trial,
    figure,
    fit,
    frozen,
    over_seeds,
    sample,
    scores,
    shows,
    spread,
    together,
    tuned,
    word,
)
from cenote.pool.lstm import LSTM
from cenote.pool.mean import Mean
from cenote.pool.paraphrases import mine_paraphrases

LANGUAGES = ("de", "fr", "es", "ru", "zh", "ja")
LAYERS = {"last layer": -1, "token embeddings": 0}
RATES, SEEDS, STEPS, BATCH, WIDTH, HIDDEN = (3e-4, 1e-3, 3e-3), 4, 100, 32, 384, 256
DEV, RESAMPLES, SCALE = 500, 400, 20.0
"""Pairs of dev, resamples of test, and what cosines are multiplied by, as in the paper's loss."""


class Pairs(NamedTuple):
    """First and second sentences, and the gold scores (B,) where there are any."""

    first: Frozen
    second: Frozen
    gold: Float64


class Mapped(nn.Module):
    """Mean of the tokens and a linear map that begins as the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.map = Mean(), nn.Linear(WIDTH, WIDTH, bias=False)
        nn.init.eye_(self.map.weight)

    def forward_packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Pool and map."""
        mapped: Tensor = self.map(self.mean.forward_packed(x, offsets))
        return mapped


TUNED: dict[str, Callable[[], nn.Module]] = {"mean, tuned": Mapped, "LSTM, tuned": partial(LSTM, WIDTH, HIDDEN)}


def check(data: Path) -> Finding:
    """Mine, tune a map behind the mean and a recurrent pooling, compare them with the mean untuned."""
    folder = data / "stsb"
    dev, test = ([*zip(*_rows(folder / f"stsb-en-{split}.csv"), strict=True)] for split in ("dev", "test"))
    dev = [tuple(column[row] for row in sample(len(dev[0]), DEV)) for column in dev]
    mined = paraphrases(folder, {*dev[0], *dev[1], *test[0], *test[1]})
    runs, beside = {}, {}
    for layer, number in LAYERS.items():
        parts = [
            Pairs(frozen(first, layer=number), frozen(second, layer=number), np.array(gold, float))
            for first, second, gold in ([*zip(*mined, strict=True), [0.0] * len(mined)], dev[:3], test[:3])
        ]
        runs[layer] = {name: tuned(partial(trial, parts, make), RATES, SEEDS) for name, make in TUNED.items()}
        runs[layer]["mean, untuned"] = _untuned(parts[2])
        beside[layer] = [
            one
            for baseline in ("mean, untuned", "mean, tuned")
            for one in _differences(runs[layer], "LSTM, tuned", baseline, f"stsb, {layer}", parts[2].gold)
        ] + _differences(runs[layer], "mean, tuned", "mean, untuned", f"stsb, {layer}", parts[2].gold)
    shown = {layer: together([shows(each[:2]), shows(each[2:4])]) for layer, each in beside.items()}
    told = [
        f"on the {layer} {word(shown[layer])} (Spearman's correlation {spread(each[0], 3)} beside the untuned mean, "
        f"{runs[layer]['mean, untuned'].scores.mean():.3f}, and {spread(each[2], 3)} beside the tuned one)"
        for layer, each in beside.items()
    ]
    gains = [f"{spread(each[4], 3)} on the {layer}" for layer, each in beside.items()]
    return Finding(
        claim="An encoder of one language trained on paraphrases mined through a pivot, with a recurrent pooling, is "
        "better than encoders that were not.",
        holds=together([*shown.values()]),
        verdict=f"That recurrent pooling is better, from {len(mined)} mined pairs, {'; '.join(told)}. The same pairs "
        f"give the mean {' and '.join(gains)}.",
        baseline="the mean of the same states, untuned, and with a linear map tuned on the same pairs",
        seeds=SEEDS,
        figures=tuple(
            one for layer in LAYERS for one in (*scores(runs[layer], f"stsb, {layer}", "Spearman"), *beside[layer])
        ),
    )


def paraphrases(folder: Path, held_out: set[str]) -> list[tuple[str, str]]:
    """Return the pairs that share a translation, each once, without sentences that are held out."""
    english = [text for row in _rows(folder / "stsb-en-train.csv") for text in row[:2]]
    found: dict[tuple[str, str], None] = {}
    for language in LANGUAGES:
        pivots = [text for row in _rows(folder / f"stsb-{language}-train.csv.gz") for text in row[:2]]
        mined = mine_paraphrases(pivots, english, lambda texts: np.ones((len(texts), 1)), threshold=0.0)
        found |= {(min(pair), max(pair)): None for pair in ((one.first, one.second) for one in mined)}
    return [(first, second) for first, second in found if not held_out & {first, second}]


def trial(parts: list[Pairs], make: Callable[[], nn.Module], seed: int, rate: float) -> Trial:
    """Tune on mined pairs, the others of a batch as negatives; the units are the cosines of the test pairs."""
    torch.manual_seed(seed)
    pooling = make()
    train, dev, test = parts

    def unit(states: Frozen, rows: Tensor) -> Tensor:
        return F.normalize(pooling.forward_packed(*states.take(rows)), dim=1)  # type: ignore[operator]

    def loss(rows: Tensor) -> Tensor:
        cosines = unit(train.first, rows) @ unit(train.second, rows).T
        return F.cross_entropy(SCALE * cosines, torch.arange(len(rows)))

    def cosines(part: Pairs) -> Float64:
        rows = torch.arange(len(part.first))
        found: Float64 = (unit(part.first, rows) * unit(part.second, rows)).sum(1).double().numpy()
        return found

    def on_dev() -> float:
        return spearman(cosines(dev), dev.gold)

    best = fit(pooling, loss, on_dev, len(train.first), rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        units = cosines(test)
    return Trial(best, spearman(units, test.gold), units)


def spearman(found: Float64, gold: Float64) -> float:
    """Return the correlation of the ranks of both (n,)."""
    return float(np.corrcoef(rankdata(found), rankdata(gold))[0, 1])


def _untuned(test: Pairs) -> Runs:
    first, second = (F.normalize(states.pooled(Mean()), dim=1) for states in (test.first, test.second))
    cosines = (first * second).sum(1).double().numpy()
    return Runs(0.0, np.full(SEEDS, spearman(cosines, test.gold)), np.tile(cosines, (SEEDS, 1)))


def _differences(runs: dict[str, Runs], method: str, baseline: str, data: str, gold: Float64) -> list[Figure]:
    first, second = runs[method], runs[baseline]
    assert first.units is not None
    assert second.units is not None
    random, differing = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        rows = random.integers(len(gold), size=len(gold))
        differing.append(
            np.mean([spearman(one[rows], gold[rows]) for one in first.units])
            - np.mean([spearman(one[rows], gold[rows]) for one in second.units])
        )
    name, value = f"Spearman: {method} less {baseline}", float((first.scores - second.scores).mean())
    low, high = np.quantile(differing, [0.025, 0.975])
    return [
        figure(f"{name}, over seeds", data, over_seeds(first.scores - second.scores)),
        figure(f"{name}, over units", data, (value, float(low), float(high))),
    ]


def _rows(place: Path) -> list[list[str]]:
    raw = place.read_bytes()
    text = (gzip.decompress(raw) if place.suffix == ".gz" else raw).decode("utf-8")
    return list(csv.reader(io.StringIO(text, newline="")))
