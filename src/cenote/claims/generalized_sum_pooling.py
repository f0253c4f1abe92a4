"""Pooling that leaves most of a picture out finds more pictures of classes it was not trained on than the mean does.

Gurbuz, Sener & Alatan, "Generalized sum pooling for metric learning" (2308.09228). There photographs of birds, cars and
products; here a digit of 28 x 28 somewhere on 40 x 40, alone or among pieces of other digits, and a small convolutional
network: it learns five digits and is asked to find the other five. Ten seeds, set beforehand: the spread of three
asked for about nine.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import Digits, cluttered, digits
from cenote.claims.finding import Figure, Finding
from cenote.claims.locating import Pictures
from cenote.claims.training import (
    Float64,
    Runs,
    Trial,
    differences,
    fit,
    needed,
    scores,
    shows,
    spread,
    together,
    tuned,
    word,
)
from cenote.pool.gsp import GSP
from cenote.pool.mean import Mean
from cenote.pool.zero_shot import ZeroShotPrediction

LEARNED = (0, 2, 4, 6, 8)
"""The digits that are trained on; the odd ones are asked for."""
PARTS, CLUTTER = (5000, 1000, 2000), {"among pieces of others": 4, "alone": 0}
"""Digits of which train, dev and test keep those of their classes, about half; how many pieces lie around each."""
RATES, SEEDS, STEPS, BATCH = (3e-3, 1e-2, 3e-2, 1e-1), 10, 300, 60
CHANNELS, WIDTH, PROTOTYPES, MU = 32, 32, 16, 0.3
SCALE, SHARE = 16.0, 0.1
"""What cosines with a class are multiplied by, and the share of the zero-shot loss, as published."""
METHODS = ("mean", "GSP", "GSP with zero-shot loss")


class Embedder(nn.Module):
    """Pictures (B, 1, 20, 20) -> unit vectors (B, 32), and what the zero-shot loss reads, by one of the methods."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
            *(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
        )
        self.pool: GSP | Mean = Mean() if method == "mean" else GSP(CHANNELS, WIDTH, PROTOTYPES, mu=MU)
        self.embed = nn.Linear(CHANNELS, WIDTH) if method == "mean" else nn.Identity()
        self.classes = nn.Parameter(torch.randn(len(LEARNED), WIDTH))
        self.zero_shot = ZeroShotPrediction(WIDTH, len(LEARNED)) if method == METHODS[2] else None

    def tokens(self, x: Tensor) -> Tensor:
        """Return (B, 100, 32): what the convolutions find in each place."""
        found: Tensor = self.convolutions(x).flatten(2).mT
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Return unit vectors."""
        return self._embedded(self.tokens(x))

    def loss(self, x: Tensor, labels: Tensor, order: Tensor) -> Tensor:
        """Return the loss of a batch; order (5,): the classes, of which two make half of the zero-shot loss."""
        tokens = self.tokens(x)
        likely = F.cross_entropy(SCALE * self._embedded(tokens) @ F.normalize(self.classes, dim=1).T, labels)
        if self.zero_shot is None or not isinstance(self.pool, GSP):
            return likely
        rows = halves(labels, order)
        attributes = self.pool.attributes(tokens[rows], torch.ones(tokens[rows].shape[:2], dtype=torch.bool))
        both: Tensor = (1 - SHARE) * likely + SHARE * self.zero_shot(attributes, labels[rows])
        return both

    def _embedded(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.embed(self.pool(tokens)), dim=1)


def halves(labels: Tensor, order: Tensor) -> Tensor:
    """Return rows of labels (B,), as many of the first two classes of `order` as, behind them, of the other three."""
    first = torch.isin(labels, order[:2]).nonzero().flatten()
    second = (~torch.isin(labels, order[:2])).nonzero().flatten()
    half = min(len(first), len(second))
    return torch.cat([first[:half], second[:half]])


def check(data: Path) -> Finding:
    """Compare the mean over places, generalised sum pooling, and the latter under the zero-shot loss too."""
    runs: dict[str, dict[str, Runs]] = {}
    beside: dict[str, list[Figure]] = {}
    for place, pieces in CLUTTER.items():
        parts, task = pictures(data, pieces), f"mnist-t10k, digits {place}"
        runs[task] = {name: tuned(partial(trial, parts, name), RATES, SEEDS) for name in METHODS}
        beside[task] = [one for name in METHODS[1:] for one in differences(runs[task], name, "mean", task, "MAP@R")]
        beside[task] += differences(runs[task], METHODS[2], METHODS[1], task, "MAP@R")
    shown = {task: shows(each[:2]) for task, each in beside.items()}
    told = [
        f"on {task}, that it finds more {word(shown[task])}: MAP@R is {spread(each[0], 3)} beside the mean "
        f"({runs[task]['mean'].scores.mean():.3f}), and under the zero-shot loss too {spread(each[2], 3)}, which is "
        f"{spread(each[4], 3)} beside that without it"
        for task, each in beside.items()
    ]
    return Finding(
        claim="Generalised sum pooling in the place of the mean finds pictures of classes that were not trained on "
        "better, and the zero-shot loss helps it.",
        holds=together([*shown.values()]),
        verdict=f"{'; '.join(told)}.".replace("on mnist", "On mnist", 1),
        baseline="the mean over places in the same network",
        seeds=SEEDS,
        note=needed(together([*shown.values()]), [one for each in beside.values() for one in each[:2]], SEEDS),
        figures=tuple(one for task in runs for one in (*scores(runs[task], task, "MAP@R"), *beside[task])),
    )


def pictures(data: Path, pieces: int) -> list[Pictures]:
    """Return train and dev, which hold the learned digits numbered from 0, and test, which holds the others."""
    found = []
    for seed, part in enumerate(digits(data, *PARTS)):
        known = torch.isin(part.labels, torch.tensor(LEARNED))
        own = part.rows((known if seed < 2 else ~known).nonzero().flatten())
        found.append(_drawn(own, pieces, seed))
    return found


def _drawn(source: Digits, pieces: int, seed: int) -> Pictures:
    x, ink = cluttered(source, pieces=pieces, seed=seed)
    return Pictures(F.avg_pool2d(x, 2), source.labels // 2, ink)


def precisions(embeddings: Tensor, labels: Tensor) -> Float64:
    """Return (B,): MAP@R of each row, where the others are ranked by their cosine with it.

    sum over ranks i up to R of [hit at i] (hits up to i) / i, over R, the number of others of its class.

    Musgrave, Belongie & Lim, "A metric learning reality check" (2003.08505).
    """
    cosines = (embeddings @ embeddings.T).fill_diagonal_(-2)
    relevant = (labels[:, None] == labels).sum(1) - 1
    order = cosines.argsort(dim=1, descending=True)[:, : int(relevant.max())]
    ranks = torch.arange(1, order.shape[1] + 1)
    hits = ((labels[order] == labels[:, None]) & (ranks <= relevant[:, None])).double()
    found: Float64 = ((hits * hits.cumsum(1) / ranks).sum(1) / relevant).numpy()
    return found


def trial(parts: list[Pictures], method: str, seed: int, rate: float) -> Trial:
    """Train an embedder; the units are the MAP@R of the test pictures."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Embedder(method)
    train, dev, test = parts

    def loss(rows: Tensor) -> Tensor:
        return model.loss(train.x[rows], train.labels[rows], torch.randperm(len(LEARNED), generator=generator))

    def found(part: Pictures) -> Float64:
        return precisions(model(part.x), part.labels)

    best = fit(
        model,
        loss,
        lambda: float(found(dev).mean()),
        len(train.x),
        rate=rate,
        steps=STEPS,
        batch=BATCH,
        seed=seed,
        checks=4,
    )
    with torch.inference_mode():
        units = found(test)
    return Trial(best, float(units.mean()), units)
