"""Poolings that learn what lies between the maximum and the mean make a network better than either.

Lee, Gallagher & Tu, "Generalizing pooling functions in convolutional neural networks: mixed, gated, and tree"
(1509.08985). There CIFAR, SVHN and ImageNet, and deep networks; here digits of 28 x 28 and a network of two
convolutions, with windows of 3 x 3 in steps of 2 as there. Sixteen seeds, set beforehand: five left intervals three
times as wide as what they are to decide, and sixteen nearly halve them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from cenote.claims.digits import digits
from cenote.claims.downsampling import DATA, DEGREES, PARTS, PIXELS, halves, trial
from cenote.claims.finding import Finding
from cenote.claims.training import differences, needed, scores, shows, spread, together, tuned, word
from cenote.pool.gated import GatedPool
from cenote.pool.mixed import MixedPool
from cenote.pool.tree import TreePool

RATES, SEEDS = (1e-3, 3e-3, 1e-2, 3e-2), 16
KERNEL, STRIDE = 3, 2
_MAKE: dict[str, Callable[[], nn.Module]] = {
    "max": partial(nn.MaxPool2d, KERNEL, STRIDE),
    "mean": partial(nn.AvgPool2d, KERNEL, STRIDE),
    "mixed": partial(MixedPool, KERNEL, STRIDE),
    "gated": partial(GatedPool, KERNEL, STRIDE),
    "tree": partial(TreePool, KERNEL, STRIDE),
}
POOLINGS = {name: [make, make] for name, make in _MAKE.items()} | {"tree, then gated": [_MAKE["tree"], _MAKE["gated"]]}
"""The two poolings of each network; the last is the one that the paper ends with."""


def check(data: Path) -> Finding:
    """Compare learned poolings with the maximum and the mean, on digits as they are, and turned and moved."""
    parts = digits(data, *PARTS)
    runs = {name: tuned(partial(trial, parts, makers), RATES, SEEDS) for name, makers in POOLINGS.items()}
    upright = {name: halves(one)[0] for name, one in runs.items()}
    fall = {name: halves(one)[1] for name, one in runs.items()}
    learned = [name for name in POOLINGS if name not in ("max", "mean")]
    beside = {
        name: [one for of in ("max", "mean") for one in differences(upright, name, of, DATA, "accuracy")]
        for name in learned
    }
    steady = {
        name: differences(fall, name, "max", DATA, "change of accuracy where turned and moved") for name in learned
    }
    shown = {name: together([shows(each[:2]), shows(each[2:])]) for name, each in beside.items()}
    best = "tree, then gated"
    told = [f"{name} {spread(each[0])} and {spread(each[2])}" for name, each in beside.items()]
    return Finding(
        claim="Learned mixtures of maximum and mean, gates that depend on the window, and trees of learned filters "
        "make convolutional networks more accurate than maximum or mean pooling, most of all a tree before a gate, and "
        "less easily misled by turned and moved pictures.",
        holds=shown[best],
        verdict=f"That a tree before a gate is more accurate than max ({upright['max'].scores.mean():.3f}) and mean "
        f"({upright['mean'].scores.mean():.3f}) {word(shown[best])}; beside the two, {'; '.join(told)}. Turned by up "
        f"to {DEGREES:.0f} degrees and moved by up to {PIXELS} pixels, accuracy with max falls by "
        f"{-fall['max'].scores.mean():.3f}; that it falls less with a tree before a gate "
        f"{word(shows(steady[best]))}: {spread(steady[best][0])}.",
        baseline="maximum and mean pooling in the same network",
        seeds=SEEDS,
        note=needed(shown[best], beside[best], SEEDS),
        figures=(
            *scores(upright, DATA, "accuracy"),
            *scores(fall, DATA, "change of accuracy where turned and moved"),
            *(one for each in beside.values() for one in each),
            *(one for each in steady.values() for one in each),
        ),
    )
