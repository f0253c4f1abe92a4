"""Pooling in a learned share of the maximum and of what lies near the mean loses less, and its weights undo it.

Stergiou & Poppe, "AdaPool: exponential adaptive pooling for information-retaining downsampling" (2111.00772). There
ImageNet, videos and super-resolution; here digits of 28 x 28: a network of two convolutions that tells them, and one
that cleans them of noise through a map of a quarter of the cells, made large again by its weights or bilinearly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import SIDE, Digits, digits
from cenote.claims.downsampling import halves, trial
from cenote.claims.finding import Finding
from cenote.claims.training import Float64, Trial, differences, fit, scores, shows, spread, together, tuned, word
from cenote.pool.adaunpool import AdaUnPool
from cenote.pool.expadapool import ExpAdaPool
from cenote.pool.softpool import SoftPool
from cenote.pool.windows import Windows

PARTS, DATA = (1000, 300, 1000), "mnist-t10k, 1,000 / 300 / 1,000"
RATES, SEEDS, STEPS, BATCH = (3e-3, 1e-2, 3e-2), 4, 100, 32
NOISE, WIDTH = 0.4, 12
"""Standard deviation of the noise, where white is 1, and channels of the cleaning network."""
TELLING: dict[str, list[Callable[[], nn.Module]]] = {
    "AdaPool": [partial(ExpAdaPool, 2, out_size=(side, side)) for side in (SIDE // 2, SIDE // 4)],
    "SoftPool": [partial(Windows, SoftPool(), 2)] * 2,
    "max": [partial(nn.MaxPool2d, 2)] * 2,
    "mean": [partial(nn.AvgPool2d, 2)] * 2,
}
CLEANING = ("AdaPool, adaUnPool", "AdaPool, bilinear", "max, bilinear", "mean, bilinear", "max, its places")


class Cleaner(nn.Module):
    """Noisy pictures (B, 1, 28, 28) -> pictures of the same shape, through maps of 14 x 14, by one of the methods."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.before, self.between, self.after = (
            nn.Conv2d(*channels, 3, padding=1) for channels in ((1, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))
        )
        self.ada, self.unpool = ExpAdaPool(2, out_size=(SIDE // 2, SIDE // 2)), AdaUnPool(2)

    def forward(self, x: Tensor) -> Tensor:
        """Make maps small, look at them, and make them large again."""
        maps = F.relu(self.before(x))
        if self.method == "max, its places":
            small, places = F.max_pool2d(maps, 2, return_indices=True)
            return self._after(F.max_unpool2d(self._between(small), places, [2, 2]))
        if self.method.startswith("AdaPool"):
            small, weights = self.ada(maps, return_weights=True)
        else:
            small, weights = (F.max_pool2d if self.method.startswith("max") else F.avg_pool2d)(maps, 2), maps
        small = self._between(small)
        if self.method == "AdaPool, adaUnPool":
            return self._after(self.unpool(small, weights))
        return self._after(F.interpolate(small, scale_factor=2, mode="bilinear"))

    def _between(self, small: Tensor) -> Tensor:
        return F.relu(self.between(small))

    def _after(self, large: Tensor) -> Tensor:
        cleaned: Tensor = self.after(large)
        return cleaned


def check(data: Path) -> Finding:
    """Compare networks that tell digits and networks that clean them, with each pooling."""
    parts = digits(data, *PARTS)
    telling = {name: halves(tuned(partial(trial, parts, makers), RATES, SEEDS))[0] for name, makers in TELLING.items()}
    cleaning = {name: tuned(partial(cleaned, parts, name), RATES, SEEDS) for name in CLEANING}
    told = {name: differences(telling, "AdaPool", name, DATA, "accuracy") for name in TELLING if name != "AdaPool"}
    clear = {name: differences(cleaning, CLEANING[0], name, DATA, "PSNR in dB") for name in CLEANING[1:]}
    found = [f"{spread(each[0])} beside {name} ({telling[name].scores.mean():.3f})" for name, each in told.items()]
    restored = [f"{spread(each[0], 2)} beside {name}" for name, each in clear.items()]
    shown = together([shows(each) for each in told.values()]), together([shows(each) for each in clear.values()])
    return Finding(
        claim="Weights near the mean and near the maximum, in a share learned for each place, make networks more "
        "accurate than SoftPool, maximum and mean, and the same weights make maps large again better than bilinear "
        "interpolation.",
        holds=together(shown),
        verdict=f"That a network tells digits better {word(shown[0])}: accuracy is "
        f"{', '.join(found)}. That weights restore more {word(shown[1])}: PSNR of cleaned digits in dB is "
        f"{', '.join(restored)}.",
        baseline="SoftPool, maximum and mean; bilinear interpolation and unpooling to the places of the maxima",
        seeds=SEEDS,
        figures=(
            *scores(telling, DATA, "accuracy"),
            *scores(cleaning, DATA, "PSNR in dB"),
            *(one for each in (*told.values(), *clear.values()) for one in each),
        ),
    )


def cleaned(parts: tuple[Digits, Digits, Digits], method: str, seed: int, rate: float) -> Trial:
    """Train to take the noise away; the units are the test digits, each with its PSNR."""
    torch.manual_seed(seed)
    model = Cleaner(method)
    clean = [part.images[:, None] for part in parts]
    noisy = [noised(each, number) for number, each in enumerate(clean)]

    def loss(rows: Tensor) -> Tensor:
        return F.mse_loss(model(noisy[0][rows]), clean[0][rows])

    def signal(part: int) -> Float64:
        return psnr(model(noisy[part]), clean[part])

    learn = partial(fit, model, loss, lambda: float(signal(1).mean()), len(clean[0]), checks=3)
    best = learn(rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        units = signal(2)
    return Trial(best, float(units.mean()), units)


def noised(images: Tensor, seed: int) -> Tensor:
    """Return pictures under noise that a seed draws, of the same kind for every method."""
    return images + NOISE * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))


def psnr(found: Tensor, wanted: Tensor) -> Float64:
    """Return (B,): how far the power of white stands above that of the error, in dB."""
    errors = (found - wanted).square().mean((1, 2, 3))
    decibels: Float64 = (-10 * errors.log10()).double().numpy()
    return decibels
