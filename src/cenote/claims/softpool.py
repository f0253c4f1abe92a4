"""SoftPool in the place of maximum pooling keeps more of a picture and makes a small network better.

Stergiou, Poppe & Kalliatakis, "Refining activation downsampling with SoftPool" (2101.00440). There ImageNet; here
digits of 28 x 28: how alike a digit is to itself after being made smaller and larger again, and a small convolutional
network trained with each pooling. Twelve seeds, set beforehand: the spread of five asked for about ten.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import digits
from cenote.claims.downsampling import DATA, PARTS, halves, trial
from cenote.claims.finding import Figure, Finding
from cenote.claims.training import (
    Float64,
    differences,
    figure,
    needed,
    over_units,
    scores,
    shows,
    spread,
    together,
    tuned,
    word,
)
from cenote.pool.softpool import SoftPool
from cenote.pool.windows import Windows

RATES, SEEDS = (1e-3, 3e-3, 1e-2, 3e-2), 12
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "SoftPool": partial(Windows, SoftPool(), 2),
    "max": partial(nn.MaxPool2d, 2),
    "mean": partial(nn.AvgPool2d, 2),
}
KERNELS = (2, 4)
"""Windows that tile 28 x 28."""


def check(data: Path) -> Finding:
    """Compare what is kept of pictures, and a network with each pooling."""
    parts = digits(data, *PARTS)
    kept = [one for kernel in KERNELS for one in _kept(parts[2].images[:1000, None], kernel)]
    runs = {
        name: halves(tuned(partial(trial, parts, [make, make]), RATES, SEEDS))[0] for name, make in POOLINGS.items()
    }
    beside = [one for name in ("max", "mean") for one in differences(runs, "SoftPool", name, DATA, "accuracy")]
    shown = together([shows(beside[:2]), shows(beside[2:])])
    return Finding(
        claim="SoftPool in the place of maximum or mean pooling makes convolutional networks about a point more "
        "accurate, because it loses less of the picture.",
        holds=shown,
        verdict=f"That a network is more accurate with SoftPool {word(shown)}: beside max "
        f"({runs['max'].scores.mean():.3f}) it is {spread(beside[0])}, beside mean {spread(beside[2])}. What is left "
        f"of a picture (SSIM, windows of {' and '.join(map(str, KERNELS))}) is "
        f"{' and '.join(spread(one, 3) for one in kept[::2])} beside max and "
        f"{' and '.join(spread(one, 3) for one in kept[1::2])} beside mean.",
        baseline="maximum and mean pooling",
        seeds=SEEDS,
        note=needed(shown, beside, SEEDS),
        figures=(*scores(runs, DATA, "accuracy"), *beside, *kept),
    )


def _kept(images: Tensor, kernel: int) -> list[Figure]:
    makers = {"SoftPool": Windows(SoftPool(), kernel), "max": nn.MaxPool2d(kernel), "mean": nn.AvgPool2d(kernel)}
    alike = {
        name: likeness(F.interpolate(make(images), scale_factor=kernel, mode="bilinear"), images)
        for name, make in makers.items()
    }
    return [
        figure(f"SSIM, windows of {kernel}: SoftPool less {name}", DATA, over_units(alike["SoftPool"] - alike[name]))
        for name in ("max", "mean")
    ]


def likeness(first: Tensor, second: Tensor) -> Float64:
    """Return (B,): the structural similarity of pictures (B, 1, H, W) in [0, 1], in windows of 7 x 7.

    Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural similarity" (2004).
    """
    mean = partial(F.avg_pool2d, kernel_size=7, stride=1)
    a, b = mean(first), mean(second)
    variances = mean(first**2) - a**2 + mean(second**2) - b**2
    covariance = mean(first * second) - a * b
    steady = (0.01**2, 0.03**2)  # the constants of the paper for a range of 1
    found = (2 * a * b + steady[0]) * (2 * covariance + steady[1])
    similar: Float64 = (found / ((a**2 + b**2 + steady[0]) * (variances + steady[1]))).mean((1, 2, 3)).double().numpy()
    return similar
