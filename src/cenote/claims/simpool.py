"""SimPool in the place of mean pooling makes a network more accurate, and its attention says where the thing is.

Psomas, Kakogeorgiou, Karantzalos & Avrithis, "Keep it SimPool: who said supervised transformers suffer from attention
deficit?" (2309.06891). There ImageNet; here a digit of 28 x 28 somewhere among pieces of other digits on 40 x 40, and a
small convolutional network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from cenote.claims.finding import Finding
from cenote.claims.locating import CHANNELS, DATA, SEEDS, Pooled, located
from cenote.claims.training import differences, needed, scores, shows, spread, together, word
from cenote.pool.mean import Mean
from cenote.pool.simpool import SimPool


def check(data: Path) -> Finding:
    """Compare SimPool, with the power for convolutional networks, with mean pooling and its class activation map."""
    heads: dict[str, Callable[[], nn.Module]] = {
        "SimPool": lambda: Pooled(SimPool(CHANNELS, gamma=2.0), weighted=True),
        "mean": partial(Pooled, Mean(), weighted=False),
    }
    accuracies, overlaps = located(data, heads)
    what = differences(accuracies, "SimPool", "mean", DATA, "accuracy")
    where = differences(overlaps, "SimPool", "mean", DATA, "overlap with ink")
    shown = shows(what), shows(where)
    return Finding(
        claim="Attention from the mean of a picture to its places, in the place of mean pooling, classifies about a "
        "point better, and its map outlines the thing.",
        holds=together(shown),
        verdict=f"That it classifies better {word(shown[0])}: accuracy is {spread(what[0])} beside mean pooling "
        f"({accuracies['mean'].scores.mean():.3f}). That its attention lies better over the digit than a map of class "
        f"activations {word(shown[1])}: the overlap is {spread(where[0])} beside {overlaps['mean'].scores.mean():.3f}.",
        baseline="mean pooling and its class activation map in the same network",
        seeds=SEEDS,
        note=needed(together(shown), [*what, *where], SEEDS),
        figures=(*scores(accuracies, DATA, "accuracy"), *scores(overlaps, DATA, "overlap with ink"), *what, *where),
    )
