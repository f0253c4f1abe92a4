"""A small convolutional network on digits, with one pooling or another where its maps are made smaller.

Two convolutions, each behind it a pooling of 28 x 28 cells and of what is left of them. Every test digit is also shown
turned and moved, which a good pooling hardly notices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import SIDE, Digits
from cenote.claims.training import Float64, Runs, Trial, fit

PARTS, DATA = (1000, 1000, 3000), "mnist-t10k, 1,000 / 1,000 / 3,000"
STEPS, BATCH = 150, 50
CHANNELS = (8, 16)
DEGREES, PIXELS = 20.0, 3
"""How far digits are turned and moved at most, either way."""


def trial(parts: tuple[Digits, Digits, Digits], makers: list[Callable[[], nn.Module]], seed: int, rate: float) -> Trial:
    """Train with the two poolings that are made; the rate is chosen by accuracy on dev as it is.

    The units are the test digits, first whether right as they are, then whether right turned and moved.
    """
    train, dev, test = parts
    model = network(makers, seed)

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(model(train.images[rows, None]), train.labels[rows])

    def right(part: Digits) -> Float64:
        found: Float64 = (model(part.images[:, None]).argmax(1) == part.labels).double().numpy()
        return found

    learn = partial(fit, model, loss, lambda: float(right(dev).mean()), len(train), checks=4)
    best = learn(rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        units = np.concatenate([right(test), right(displaced(test))])
    return Trial(best, float(units[: len(test)].mean()), units)


def network(makers: list[Callable[[], nn.Module]], seed: int) -> nn.Module:
    """Return the network with the two poolings; the filters of one seed are the same, whatever these are."""
    torch.manual_seed(seed)
    first, second = (make() for make in makers)
    torch.manual_seed(seed)
    convolutions = nn.Conv2d(1, CHANNELS[0], 3, padding=1), nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, padding=1)
    features = nn.Sequential(convolutions[0], nn.ReLU(), first, convolutions[1], nn.ReLU(), second, nn.Flatten())
    with torch.no_grad():
        width = features(torch.zeros(1, 1, SIDE, SIDE)).shape[1]
    return nn.Sequential(features, nn.Linear(width, 10))


def displaced(part: Digits, seed: int = 0) -> Digits:
    """Return digits turned and moved by amounts that a seed draws; what comes in from outside is black."""
    random = np.random.default_rng(seed)
    angle = torch.from_numpy(np.deg2rad(random.uniform(-DEGREES, DEGREES, len(part)))).float()
    move = torch.from_numpy(random.integers(-PIXELS, PIXELS + 1, (len(part), 2)) * 2 / SIDE).float()
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    grid = F.affine_grid(torch.cat([turn, move[:, :, None]], 2), [len(part), 1, SIDE, SIDE], align_corners=False)
    return Digits(F.grid_sample(part.images[:, None], grid, align_corners=False)[:, 0], part.labels)


def halves(runs: Runs) -> tuple[Runs, Runs]:
    """Return what `trial` found of digits as they are, and by how much less of those that are turned and moved."""
    assert runs.units is not None
    upright, moved = np.split(runs.units, 2, axis=1)
    fall = moved - upright
    return replace(runs, scores=upright.mean(1), units=upright), replace(runs, scores=fall.mean(1), units=fall)
