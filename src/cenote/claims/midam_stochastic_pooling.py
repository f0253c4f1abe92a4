"""A running mean of every bag makes up for drawing only some of its instances.

Zhu, Wang, Chen, Wang, Sonka, Wu & Yang, "Provable multi-instance deep AUC maximization with stochastic pooling"
(2305.08040). There chemical and medical bags; here bags of 30 to 60 digits, positive where one or two of them are
nines, of which 4 are drawn a step. Sixteen seeds, set beforehand: the spread of six asked for about ten.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import Digits, digits
from cenote.claims.finding import Finding
from cenote.claims.training import Float64, Trial, differences, fit, needed, scores, shows, spread, tuned, word
from cenote.pool.lse import LSE
from cenote.pool.midam import MIDAM, MIDAMLoss, draw_instances

DATA = "bags of mnist-t10k digits, 200 / 100 / 300"
BAGS, SIZES, WITNESS = (200, 100, 300), (30, 60), 9
RATES, SEEDS, STEPS, BATCH, DRAWN = (0.1, 0.3, 1.0), 16, 1000, 16, 4
FULL_RATES = (1e-3, 3e-3, 1e-2)
"""Of Adam, which the cross-entropy is trained with, where MIDAM is its own optimiser."""
TEMPERATURE = 0.1
METHODS = {"MIDAM, gamma 0.5": 0.5, "4 instances without memory": 1.0, "whole bags, cross-entropy": None}


class Bags(NamedTuple):
    """Instances (B, N, 196), mask (B, N), labels (B,)."""

    x: Tensor
    mask: Tensor
    labels: Tensor


class Scorer(nn.Module):
    """Instances (..., 196) -> scores (...) in (0, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Score each instance."""
        found: Tensor = self.layers(x)
        return found.squeeze(-1)


def bags(source: Digits, count: int, seed: int) -> Bags:
    """Return bags of digits, of which every second holds one or two nines."""
    random = np.random.default_rng(seed)
    small = F.avg_pool2d(source.images[:, None], 2).flatten(1)
    nines, others = (np.flatnonzero((source.labels == WITNESS).numpy() == wanted) for wanted in (True, False))
    rows = np.zeros((count, SIZES[1]), np.int64)
    mask = np.zeros(rows.shape, np.bool_)
    for bag in range(count):
        size, witnesses = random.integers(SIZES[0], SIZES[1] + 1), random.integers(1, 3) if bag % 2 else 0
        mask[bag, :size] = True
        rows[bag, :size] = np.concatenate([random.choice(nines, witnesses), random.choice(others, size - witnesses)])
    return Bags(small[torch.from_numpy(rows)], torch.from_numpy(mask), torch.arange(count) % 2)


def placements(found: Float64, labels: Float64) -> Float64:
    """Return for each positive the share of negatives that score below it, ties half: their mean is the AUC."""
    positive, negative = found[labels == 1], found[labels == 0]
    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    shares: Float64 = (ranks - rankdata(positive)) / len(negative)
    return shares


def check(data: Path) -> Finding:
    """Compare drawing with a memory, drawing without, and whole bags."""
    parts = digits(data, 5000, 2000, 3000)
    cut = [bags(part, count, seed) for seed, (part, count) in enumerate(zip(parts, BAGS, strict=True))]
    runs = {
        name: tuned(partial(trial, cut, gamma), FULL_RATES if gamma is None else RATES, SEEDS, sweep=SEEDS)
        for name, gamma in METHODS.items()
    }
    method, without, whole = METHODS
    other = differences(runs, method, without, DATA, "AUC")
    beside = differences(runs, method, whole, DATA, "AUC")
    shown, all_shown = shows(other), shows(beside)
    return Finding(
        claim="Learning AUC from a few drawn instances a bag is better with a running mean a bag than without, and no "
        "worse than learning from whole bags.",
        holds=shown,
        verdict=f"That the memory helps {word(shown)}: it adds {spread(other[0])} AUC to the same draws without one "
        f"({runs[without].scores.mean():.3f}). That drawing is better than whole bags {word(all_shown)}: it is "
        f"{spread(beside[0])} beside them.",
        baseline="the same draws without the running mean (gamma 1), and whole bags under cross-entropy",
        seeds=SEEDS,
        note=needed(shown, other, SEEDS),
        figures=(*scores(runs, DATA, "AUC"), *other, *beside),
    )


def trial(parts: list[Bags], gamma: float | None, seed: int, rate: float) -> Trial:
    """Train on the first part; the units are the positive bags of the last, each with the negatives below it."""
    train, dev, test = parts
    torch.manual_seed(seed)
    model, pooling = Scorer(), LSE(1 / TEMPERATURE)

    def pooled(part: Bags) -> Tensor:
        h: Tensor = pooling(model(part.x)[..., None], part.mask)
        return h.squeeze(-1)

    def auc(part: Bags) -> Float64:
        with torch.inference_mode():
            return placements(pooled(part).double().numpy(), part.labels.numpy())

    if gamma is None:

        def loss(rows: Tensor) -> Tensor:
            chosen = Bags(*(each[rows] for each in train))
            return F.binary_cross_entropy(pooled(chosen).clamp(1e-6, 1 - 1e-6), chosen.labels.float())

        best = fit(
            model, loss, lambda: auc(dev).mean(), len(train.labels), rate=rate, steps=STEPS, batch=BATCH, seed=seed
        )
    else:
        best = learn(model, train, lambda: float(auc(dev).mean()), gamma, seed, rate)
    units = auc(test)
    return Trial(best, float(units.mean()), units)


def learn(model: nn.Module, train: Bags, dev: Callable[[], float], gamma: float, seed: int, rate: float) -> float:
    """Train by MIDAM on drawn instances, as `fit` does it with the checks on dev."""
    loss = MIDAMLoss(len(train.labels), temperature=TEMPERATURE, gamma=gamma)
    optimiser = MIDAM(model.parameters(), loss, rate)
    generator = torch.Generator().manual_seed(seed)
    sides = [torch.nonzero(train.labels == side).flatten() for side in (0, 1)]
    best, kept = -np.inf, copy.deepcopy(model.state_dict())
    for step in range(1, STEPS + 1):
        rows = torch.cat([side[torch.randperm(len(side), generator=generator)[: BATCH // 2]] for side in sides])
        places, real = draw_instances(train.mask[rows], DRAWN, generator=generator)
        found = model(train.x[rows[:, None], places])
        optimiser.zero_grad()
        loss(found, train.labels[rows], rows, real).backward()
        optimiser.step()
        if step % (STEPS // 5) == 0 and (score := dev()) > best:
            best, kept = score, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return best
