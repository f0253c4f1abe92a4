"""A pooling that attends from a token of the set itself keeps noise out whatever its share; mean and maximum do not.

Brothers, "Robust Noise Attenuation via Adaptive Pooling of Transformer Outputs" (2506.09215). There vectors drawn from
distributions; here sets of 32 digits in 16 principal components: asked for is the mean of the k digits nearest to the
first, k from 1 to 31. One transformer layer and the pooling are trained.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cenote.claims.digits import Digits, digits
from cenote.claims.finding import Finding
from cenote.claims.training import (
    Trial,
    differences,
    figure,
    fit,
    over_seeds,
    scores,
    shows,
    spread,
    together,
    tuned,
    word,
)
from cenote.pool.adapool import AdaPool
from cenote.pool.max import Max
from cenote.pool.mean import Mean

DATA = "mnist-t10k, 16 principal components, sets of 32"
NEAREST, SIZE, DIM, WIDTH, HEADS = (1, 6, 31), 32, 16, 32, 4
RATES, SEEDS, STEPS, BATCH = (3e-3, 1e-2), 3, 300, 64
SETS = (4000, 500, 1000)
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "AdaPool": partial(AdaPool, WIDTH, HEADS, "first"),
    "mean": Mean,
    "maximum": Max,
    "learned query": partial(AdaPool, WIDTH, HEADS, "learned"),
}


class Sets(NamedTuple):
    """x (B, 32, 16) and what is asked for, (B, 16)."""

    x: Tensor
    wanted: Tensor


class OfSets(nn.Module):
    """(B, N, 16) -> (B, 16): a layer of attention that knows which vector is the first, a pooling, a linear map."""

    def __init__(self, pooling: nn.Module) -> None:
        super().__init__()
        self.inner, self.first = nn.Linear(DIM, WIDTH), nn.Parameter(torch.zeros(WIDTH))
        self.layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0, batch_first=True)
        self.pooling, self.outer = pooling, nn.Linear(WIDTH, DIM)

    def forward(self, x: Tensor) -> Tensor:
        """Return the guess of each set."""
        x = self.inner(x)
        x = torch.cat([x[:, :1] + self.first, x[:, 1:]], 1)
        found: Tensor = self.outer(self.pooling(self.layer(x)))
        return found


def components(parts: tuple[Digits, Digits, Digits]) -> list[Tensor]:
    """Return the 16 first principal components of each part, found on the first, with a mean square of 1 in all."""
    flat = [part.images.flatten(1).double() for part in parts]
    middle = flat[0].mean(0)
    axes = torch.linalg.eigh(torch.cov((flat[0] - middle).T)).eigenvectors[:, -DIM:]
    projected = [(each - middle) @ axes for each in flat]
    unit = projected[0].square().mean().sqrt()
    return [(each / unit).float() for each in projected]


def drawn(source: Tensor, sets: int, k: int, seed: int) -> Sets:
    """Return sets of different digits, and the mean of the k that lie nearest to the first of each."""
    random = np.random.default_rng(seed)
    rows = np.stack([random.choice(len(source), SIZE, replace=False) for _ in range(sets)])
    x = source[torch.from_numpy(rows)]
    near = (x[:, 1:] - x[:, :1]).norm(dim=-1).topk(k, largest=False).indices + 1
    return Sets(x, x.gather(1, near[..., None].expand(-1, -1, DIM)).mean(1))


def check(data: Path) -> Finding:
    """Compare four poolings by their worst error beside the best, over shares of signal."""
    found = components(digits(data, 5000, 2000, 3000))
    runs = {}
    for k in NEAREST:
        parts = [drawn(part, sets, k, seed) for seed, (part, sets) in enumerate(zip(found, SETS, strict=True))]
        runs[k] = {name: tuned(partial(trial, parts, make), RATES, SEEDS) for name, make in POOLINGS.items()}
    best = {k: np.min([-one.scores.mean() for one in of_k.values()]) for k, of_k in runs.items()}
    worst = {name: np.max([-runs[k][name].scores / best[k] for k in NEAREST], 0) for name in POOLINGS}
    beside = [
        figure(f"worst error beside the best: {name} less AdaPool", DATA, over_seeds(worst[name] - worst["AdaPool"]), 2)
        for name in worst
        if name != "AdaPool"
    ]
    shown = together([shows([one]) for one in beside])
    by_k = [
        one
        for k in NEAREST
        for name in POOLINGS
        if name != "AdaPool"
        for one in differences(runs[k], "AdaPool", name, DATA, f"negative squared error, {k} nearest")
    ]
    errors = {name: ", ".join(f"{-runs[k][name].scores.mean():.4f}" for k in NEAREST) for name in POOLINGS}
    return Finding(
        claim="Attention whose query is taken from the set stays near the best at every share of signal, where mean, "
        "maximum and a learned query each fail at some.",
        holds=shown,
        verdict=f"Over {', '.join(map(str, NEAREST))} neighbours of {SIZE - 1} the squared error is "
        f"{'; '.join(f'{row} ({name})' for name, row in errors.items())}, and the worst of them beside the best "
        f"pooling's {', '.join(f'{one.mean():.2f} times ({name})' for name, one in worst.items())}. That AdaPool's "
        f"worst is the least {word(shown)}: {', '.join(spread(one, 2) for one in beside)} above it.",
        baseline="mean, maximum and a learned query over the same layer",
        seeds=SEEDS,
        figures=(
            *(one for k in NEAREST for one in scores(runs[k], DATA, f"negative squared error, {k} nearest,")),
            *(figure(f"worst error beside the best: {name}", DATA, over_seeds(worst[name]), 2) for name in worst),
            *beside,
            *by_k,
        ),
    )


def trial(parts: list[Sets], make: Callable[[], nn.Module], seed: int, rate: float) -> Trial:
    """Learn one share of signal; the score is the negative mean squared error."""
    torch.manual_seed(seed)
    model = OfSets(make())
    train, dev, test = parts

    def loss(rows: Tensor) -> Tensor:
        return nn.functional.mse_loss(model(train.x[rows]), train.wanted[rows])

    def score(part: Sets) -> float:
        return -float((model(part.x) - part.wanted).square().mean())

    rows = len(train.x)
    best = fit(model, loss, lambda: score(dev), rows, rate=rate, steps=STEPS, batch=BATCH, seed=seed, checks=4)
    with torch.inference_mode():
        return Trial(best, score(test))
