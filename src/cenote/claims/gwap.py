"""A mean with learned weights says where the thing is, and is as accurate as the plain mean.

Qiu, "Global weighted average pooling bridges pixel-level localization and image-level classification" (1809.08264).
There ImageNet and VOC; here a digit of 28 x 28 somewhere among pieces of other digits on 40 x 40, and a small
convolutional network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from cenote.claims.finding import Finding
from cenote.claims.locating import CHANNELS, CLASSES, DATA, SEEDS, OfClasses, Pooled, located
from cenote.claims.training import differences, needed, scores, shows, spread, together, word
from cenote.pool.gwap import GWAP
from cenote.pool.gwap_classes import GWAPClasses
from cenote.pool.max import Max
from cenote.pool.mean import Mean


def check(data: Path) -> Finding:
    """Compare both kinds of weights with the class activation maps of mean and maximum."""
    heads: dict[str, Callable[[], nn.Module]] = {
        "GWAP": lambda: Pooled(GWAP(CHANNELS), weighted=True),
        "GWAP by class": lambda: OfClasses(GWAPClasses(CHANNELS, CLASSES)),
        "mean": partial(Pooled, Mean(), weighted=False),
        "max": partial(Pooled, Max(), weighted=False),
    }
    accuracies, overlaps = located(data, heads)
    where = [one for name in ("mean", "max") for one in differences(overlaps, "GWAP", name, DATA, "overlap with ink")]
    by_class = differences(overlaps, "GWAP by class", "mean", DATA, "overlap with ink")
    what = differences(accuracies, "GWAP", "mean", DATA, "accuracy")
    shown = together([shows(where[:2]), shows(where[2:])])
    return Finding(
        claim="Weighted average pooling finds the pixels of a thing better than the activation maps of mean and "
        "maximum pooling, learned from labels of whole pictures, and classifies about as well.",
        holds=shown,
        verdict=f"That the weights lie better over the digit than activation maps {word(shown)}: the overlap is "
        f"{spread(where[0])} beside that of mean pooling ({overlaps['mean'].scores.mean():.3f}) and {spread(where[2])} "
        f"beside that of max ({overlaps['max'].scores.mean():.3f}); weights by class, {spread(by_class[0])}. "
        f"Accuracy is {spread(what[0])} beside mean ({accuracies['mean'].scores.mean():.3f}).",
        baseline="class activation maps of mean and of maximum pooling in the same network",
        seeds=SEEDS,
        note=needed(shown, where, SEEDS),
        figures=(
            *scores(accuracies, DATA, "accuracy"),
            *scores(overlaps, DATA, "overlap with ink"),
            *(*where, *by_class, *what),
        ),
    )
