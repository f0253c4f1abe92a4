"""AttSets trained by FASet is right for any number of views, also for numbers it was not trained with.

Yang, Wang, Markham & Trigoni, "Robust attentional aggregation of deep feature sets for multi-view 3D reconstruction"
(1808.00758). There 3-D shapes from pictures; here the class of a digit from sets of noisy 16 x 16 crops of it, a small
network trained on 4 views and asked with 1 to 24, as many steps in all with one stage as with two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import Digits, digits
from cenote.claims.finding import Finding
from cenote.claims.training import Float64, Runs, Trial, differences, fit, scores, shows, spread, together, tuned, word
from cenote.pool.attsets import AttSets
from cenote.pool.base import Pooler
from cenote.pool.faset import FASet, singletons
from cenote.pool.max import Max
from cenote.pool.mean import Mean

DATA = "mnist-t10k, 1,500 / 500 / 1,500 digits drawn by seed 0"
VIEWS, POOL, ASKED = 4, 8, (1, 2, 4, 8, 24)
RATES, SEEDS, STEPS, BATCH = (3e-3, 1e-2, 3e-2), 5, 400, 64
CROP, NOISE, WIDTH = 16, 0.5, 64


class OfViews(nn.Module):
    """(B, N, 256) pixels of views -> logits (B, 10)."""

    def __init__(self, pooling: Pooler) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(CROP**2, 128), nn.ReLU(), nn.Linear(128, WIDTH), nn.ReLU())
        self.pooling, self.classify = pooling, nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode every view, pool them, classify."""
        logits: Tensor = self.classify(self.pooling(self.encode(x), mask))
        return logits


def views(source: Digits, count: int, seed: int) -> Tensor:
    """Return (n, count, 256): crops of each digit at random places, with Gaussian noise."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(28 - CROP + 1, (len(source), count, 2), generator=generator)
    inside = torch.arange(CROP)
    rows, columns = (corners[..., axis, None] + inside for axis in (0, 1))
    each = torch.arange(len(source))[:, None, None, None]
    crops = source.images[each, rows[..., :, None], columns[..., None, :]].flatten(2)
    return crops + NOISE * torch.randn(crops.shape, generator=generator)


def check(data: Path) -> Finding:
    """Compare mean, maximum, AttSets trained at once and by FASet at every number of views."""
    parts = digits(data, 1500, 500, 1500)
    methods: dict[str, Callable[[], Pooler]] = {
        "mean": Mean,
        "max": Max,
        "AttSets": partial(AttSets, WIDTH),
        "FASet": partial(AttSets, WIDTH),
    }
    trained = {
        name: tuned(partial(trial, parts, make, name == "FASet"), RATES, SEEDS) for name, make in methods.items()
    }
    by_views = {count: {name: at(one, count) for name, one in trained.items()} for count in ASKED}
    figures = [each for count, runs in by_views.items() for each in scores(runs, DATA, f"accuracy, views {count}")]
    other = [
        each
        for count in (1, 24)
        for name in ("AttSets", "mean", "max")
        for each in differences(by_views[count], "FASet", name, DATA, f"accuracy, views {count}")
    ]
    shown = together([shows(other[at : at + 2]) for at in range(0, len(other), 2)])
    means = {name: ", ".join(f"{at(one, count).scores.mean():.3f}" for count in ASKED) for name, one in trained.items()}
    return Finding(
        claim="Attention over the features of a set, trained apart from the network, beats mean, maximum and attention "
        "trained together with it, whatever the number of views.",
        holds=shown,
        verdict=f"That training apart is better than all others with 1 view and with 24 {word(shown)}: trained on "
        f"{VIEWS} views and asked with {', '.join(map(str, ASKED))}, accuracy is "
        f"{'; '.join(f'{row} ({name})' for name, row in means.items())}. FASet beside joint training is "
        f"{spread(other[0])} at 1 view and {spread(other[6])} at 24, beside the mean "
        f"{spread(other[2])} and {spread(other[8])}.",
        baseline="mean, maximum, and AttSets trained together with the network",
        seeds=SEEDS,
        figures=(*figures, *other),
    )


def trial(
    parts: tuple[Digits, Digits, Digits], make: Callable[[], Pooler], apart: bool, seed: int, rate: float
) -> Trial:
    """Train on sets of 4 views; the units are the test digits at each number of views, one number after the other."""
    train, dev, test = parts
    torch.manual_seed(seed)
    model = OfViews(make())
    x, x_dev, x_test = (views(part, count, seed) for part, count in ((train, POOL), (dev, VIEWS), (test, max(ASKED))))
    generator = torch.Generator().manual_seed(seed)

    def loss(rows: Tensor, alone: bool = False) -> Tensor:
        chosen = torch.rand(len(rows), POOL, generator=generator).argsort(1)[:, :VIEWS]
        sets, labels = x[rows[:, None], chosen], train.labels[rows]
        if alone:
            sets, _, labels = singletons(sets, torch.ones(sets.shape[:2], dtype=torch.bool), labels)
        return F.cross_entropy(model(sets), labels)

    def score(asked: Tensor, part: Digits) -> Float64:
        right: Float64 = (model(asked).argmax(-1) == part.labels).double().numpy()
        return right

    learn = partial(
        fit, model, dev=lambda: score(x_dev, dev).mean(), rows=len(train), rate=rate, batch=BATCH, seed=seed
    )
    if apart:
        stages = FASet(model, model.pooling)
        with stages.base_stage():
            learn(partial(loss, alone=True), steps=STEPS // 2)
        with stages.pooling_stage():
            best = learn(loss, steps=STEPS // 2)
    else:
        best = learn(loss, steps=STEPS)
    with torch.inference_mode():
        units = np.concatenate([score(x_test[:, :count], test) for count in ASKED])
    return Trial(best, float(units.mean()), units)


def at(runs: Runs, count: int) -> Runs:
    """Return the scores at one number of views."""
    assert runs.units is not None
    units = np.split(runs.units, len(ASKED), axis=1)[ASKED.index(count)]
    return replace(runs, scores=units.mean(1), units=units)
