"""A digit somewhere among pieces of others: networks that are told its class alone, and asked where it is.

Pictures of 40 x 40 are halved, three convolutions make a map of 10 x 10 cells; a head makes of it logits and a map of
where it looked. The map above its own mean is laid over the digit's ink: |both| / |either|. Twelve seeds, set
beforehand: with four, another order of sums was enough to move an interval across 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import Digits, cluttered, digits
from cenote.claims.training import Float64, Runs, Trial, fit, tuned
from cenote.pool.base import Pooler
from cenote.pool.over_space import OverSpace

DATA = "mnist-t10k digits among pieces of others, 1,500 / 500 / 1,000"
RATES, SEEDS, STEPS, BATCH = (3e-3, 1e-2, 3e-2), 12, 250, 50
PARTS, CHANNELS, CLASSES = (1500, 500, 1000), 32, 10


class Pictures(NamedTuple):
    """Pictures x (B, 1, 20, 20), labels (B,), and which of 10 x 10 cells hold ink of the digit."""

    x: Tensor
    labels: Tensor
    ink: Tensor


class Pooled(nn.Module):
    """A pooler and a linear classifier; the map is the pooler's weights, or what the class found in each cell."""

    def __init__(self, pooler: Pooler, *, weighted: bool) -> None:
        super().__init__()
        self.pool, self.classify, self.weighted = OverSpace(pooler), nn.Linear(CHANNELS, CLASSES), weighted

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 10) and maps (B, H, W)."""
        if self.weighted:
            pooled, weights = self.pool(x, return_weights=True)
            return self.classify(pooled), weights.flatten(1, -3)[:, 0] if weights.ndim == 4 else weights
        logits = self.classify(self.pool(x))
        # the class activation map of Zhou et al., "Learning deep features for discriminative localization" (2016)
        return logits, torch.einsum("bchw,bc->bhw", x, self.classify.weight[logits.argmax(1)])


class OfClasses(nn.Module):
    """A pooler that gives a logit a class; the map is the weights of the class that is found."""

    def __init__(self, pooler: Pooler) -> None:
        super().__init__()
        self.pool = OverSpace(pooler)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 10) and maps (B, H, W)."""
        logits, weights = self.pool(x, return_weights=True)
        return logits, weights[torch.arange(len(x)), logits.argmax(1)]


def located(data: Path, heads: dict[str, Callable[[], nn.Module]]) -> tuple[dict[str, Runs], dict[str, Runs]]:
    """Train a network with each head; return how accurate they are and how well their maps lie over the ink."""
    parts = [_pictures(part, seed) for seed, part in enumerate(digits(data, *PARTS))]
    runs = {name: tuned(partial(trial, parts, make), RATES, SEEDS) for name, make in heads.items()}
    return {name: _half(one, 0) for name, one in runs.items()}, {name: _half(one, 1) for name, one in runs.items()}


def trial(parts: list[Pictures], make: Callable[[], nn.Module], seed: int, rate: float) -> Trial:
    """Train one; the rate is chosen by accuracy. Units are the test pictures, first whether right, then the overlap."""
    torch.manual_seed(seed)
    convolutions = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
        *(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
    )
    model = nn.Sequential(convolutions, make())
    train, dev, test = parts

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(model(train.x[rows])[0], train.labels[rows])

    def right(part: Pictures) -> Float64:
        found: Float64 = (model(part.x)[0].argmax(1) == part.labels).double().numpy()
        return found

    learn = partial(fit, model, loss, lambda: float(right(dev).mean()), len(train.x), checks=4)
    best = learn(rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        units = np.concatenate([right(test), overlap(model(test.x)[1], test.ink)])
    return Trial(best, float(units[: len(test.x)].mean()), units)


def overlap(maps: Tensor, ink: Tensor) -> Float64:
    """Return (B,): |both| / |either| of the cells above a map's own mean and the cells with ink."""
    marked = maps > maps.mean((1, 2), keepdim=True)
    shares: Float64 = ((marked & ink).sum((1, 2)) / (marked | ink).sum((1, 2))).double().numpy()
    return shares


def _pictures(part: Digits, seed: int) -> Pictures:
    x, ink = cluttered(part, pieces=6, seed=seed)
    return Pictures(F.avg_pool2d(x, 2), part.labels, F.max_pool2d(ink[:, None].float(), 4)[:, 0] > 0)


def _half(runs: Runs, half: int) -> Runs:
    assert runs.units is not None
    units = np.split(runs.units, 2, axis=1)[half]
    return replace(runs, scores=units.mean(1), units=units)
