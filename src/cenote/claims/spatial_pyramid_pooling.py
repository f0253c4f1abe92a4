"""Pooling in parts of several sizes classifies better than in parts of one, and one map serves all its regions.

He, Zhang, Ren & Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition" (1406.4729). There
ImageNet and VOC; here a digit of 28 x 28 somewhere on 40 x 40 beside a piece of another, and a small convolutional
network; scenes of 10 x 10 such pictures are read region by region. How long regions take is measured with the
convolutions of the paper's smallest network, untrained.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.digits import Digits, cluttered, digits
from cenote.claims.finding import Finding
from cenote.claims.training import (
    Float64,
    Runs,
    Trial,
    differences,
    figure,
    fit,
    one_thread,
    over_seeds,
    scores,
    shows,
    spread,
    together,
    tuned,
    word,
)
from cenote.pool.spatial_pyramid import SpatialPyramid

DATA = "mnist-t10k digits beside a piece of another, 1,500 / 500 / 1,000"
RATES, SEEDS, STEPS, BATCH = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), 4, 600, 50
PARTS, CHANNELS, CLASSES, STRIDE = (1500, 500, 1000), 32, 10, 2
SIDE, SMALLER, TILES, JITTER = 20, 16, 10, 2
"""Pixels of a picture, of the other size in training, pictures along a scene, and how far a box misses its picture."""
PYRAMID = (6, 3, 2, 1)
METHODS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "pyramid": (PYRAMID, (SIDE,)),
    "pyramid, two sizes": (PYRAMID, (SIDE, SMALLER)),
    "6 x 6 parts": ((6,), (SIDE,)),
    "global maximum": ((1,), (SIDE,)),
}
"""Levels, and the sizes of pictures in training."""
BOXES, CROPS, CROP, IMAGE = 500, 20, 227, (688, 917)
"""Regions of the timed picture, those of them that are run one by one, the side these get, and the picture."""


class Pictures(NamedTuple):
    """Pictures x (B, 1, 20, 20) and labels (B,)."""

    x: Tensor
    labels: Tensor


class Network(nn.Module):
    """Pictures (B, 1, H, W) of any size -> logits (B, 10); a cell of the map is two pixels wide."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.map = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(STRIDE)),
            *(nn.Conv2d(16, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
            *(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
        )
        self.pool = SpatialPyramid(levels)
        self.classify = nn.Linear(self.pool.out_dim(CHANNELS), CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Classify whole pictures."""
        logits: Tensor = self.classify(self.pool(self.map(x)))
        return logits

    def regions(self, scene: Tensor, boxes: Tensor) -> Tensor:
        """Classify boxes (R, 4) of one scene (1, H, W) from one map."""
        logits: Tensor = self.classify(self.pool.regions(self.map(scene[None])[0], boxes, STRIDE))
        return logits


def check(data: Path) -> Finding:
    """Compare levels, sizes in training, and regions from one map with regions one by one."""
    parts = [_pictures(part, seed) for seed, part in enumerate(digits(data, *PARTS))]
    runs = {name: tuned(partial(trial, parts, *how), RATES, SEEDS) for name, how in METHODS.items()}
    whole = {name: _third(one, 0) for name, one in runs.items()}
    regions = {"one map": _third(runs["pyramid"], 1), "one by one": _third(runs["pyramid"], 2)}
    beside = [
        one for name in METHODS if name != "pyramid" for one in differences(whole, "pyramid", name, DATA, "accuracy")
    ]
    sizes = differences(whole, "pyramid, two sizes", "pyramid", DATA, "accuracy")
    apart = differences(regions, "one map", "one by one", f"scenes of {DATA}", "accuracy of regions")
    with one_thread():
        ratios = np.array([speedup(parts[2].x, seed) for seed in range(SEEDS)])
    faster, quick = over_seeds(ratios), bool(over_seeds(ratios)[1] > 1)
    times = figure(f"times as fast, {BOXES} regions of one map", "a scene of digits, 688 x 917", faster, 1)
    shown = together([shows(beside[2:4]), shows(beside[4:6])]), shows(sizes)
    return Finding(
        claim="A pyramid of parts over the last map classifies better than parts of one size, training with pictures "
        "of two sizes improves it further, and one map for all regions is many times as fast as a network for each "
        "(there 24 to 102), about as accurate.",
        holds=together([*shown, quick or None]),
        verdict=f"That the pyramid classifies better {word(shown[0])}: accuracy is {spread(beside[2])} beside 6 x 6 "
        f"parts ({whole['6 x 6 parts'].scores.mean():.3f}) and {spread(beside[4])} beside the global maximum "
        f"({whole['global maximum'].scores.mean():.3f}). That two sizes in training help {word(shown[1])}: "
        f"{spread(sizes[0])}. {BOXES} regions from one map are {faster[0]:.0f} times as fast "
        f"[{faster[1]:.0f}, {faster[2]:.0f}] as one by one, and their accuracy is {spread(apart[0])} beside "
        f"{regions['one by one'].scores.mean():.3f}.",
        baseline="one level of 6 x 6 parts, the global maximum, one size in training, and a network for each region",
        seeds=SEEDS,
        figures=(
            *scores(whole, DATA, "accuracy"),
            *scores(regions, f"scenes of {DATA}", "accuracy of regions"),
            *(*beside, *sizes, *apart, times),
        ),
    )


def trial(parts: list[Pictures], levels: tuple[int, ...], sides: tuple[int, ...], seed: int, rate: float) -> Trial:
    """Train with pictures of one side after the other; the rate is chosen by accuracy on pictures as they are.

    The units are the test pictures: whether right alone, right in a scene from its one map, right cut out of it.
    """
    torch.manual_seed(seed)
    train, dev, test = parts
    model, side = Network(levels), cycle(sides)

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(model(_resized(train.x[rows], next(side))), train.labels[rows])

    def right(logits: Tensor, labels: Tensor) -> Float64:
        found: Float64 = (logits.argmax(1) == labels).double().numpy()
        return found

    learn = partial(fit, model, loss, lambda: float(right(model(dev.x), dev.labels).mean()), len(train.x), checks=4)
    best = learn(rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        placed = [(scene, near) for scene, near in zip(scenes(test.x), corners(len(test.x)), strict=True)]
        shared = torch.cat([model.regions(scene, boxed(near)) for scene, near in placed])
        single = torch.cat([model(cut(scene, near)) for scene, near in placed])
        units = np.concatenate([right(logits, test.labels) for logits in (model(test.x), shared, single)])
    return Trial(best, float(units[: len(test.x)].mean()), units)


def scenes(x: Tensor) -> Tensor:
    """Return (n / 100, 1, 200, 200): each 100 pictures side by side, row by row."""
    grid = x.view(-1, TILES, TILES, SIDE, SIDE).transpose(2, 3)
    return grid.reshape(-1, 1, TILES * SIDE, TILES * SIDE)


def corners(pictures: int, seed: int = 0) -> Tensor:
    """Return int64 (n / 100, 100, 2): left and top of where each picture of a scene is looked for, nearly its own."""
    rows, columns = torch.meshgrid(*[torch.arange(TILES) * SIDE] * 2, indexing="ij")
    exact = torch.stack([columns, rows], -1).view(1, -1, 2)
    miss = np.random.default_rng(seed).integers(-JITTER, JITTER + 1, (pictures // TILES**2, TILES**2, 2))
    return (exact + torch.from_numpy(miss)).clamp(0, (TILES - 1) * SIDE)


def boxed(near: Tensor) -> Tensor:
    """Return (R, 4) for upper left corners (R, 2): the pixels around each, counted from 1, that are not of it."""
    return torch.cat([near, near + SIDE + 1], 1)


def cut(scene: Tensor, near: Tensor) -> Tensor:
    """Return (R, 1, 20, 20): what lies at corners (R, 2) of a scene (1, H, W)."""
    return torch.stack([scene[:, top : top + SIDE, left : left + SIDE] for left, top in near.tolist()])


def speedup(x: Tensor, seed: int) -> float:
    """Return how many times the computing time of one map and its regions is that of a network for each region."""
    torch.manual_seed(seed)
    # the convolutions of Zeiler & Fergus, "Visualizing and understanding convolutional networks" (2014)
    convolutions = nn.Sequential(
        *(nn.Conv2d(3, 96, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(96, 256, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
    ).eval()
    pool = SpatialPyramid(PYRAMID)
    image = F.interpolate(scenes(x)[:1], IMAGE, mode="bilinear").expand(-1, 3, -1, -1)
    random = np.random.default_rng(seed)
    sizes = random.integers(50, 400, (BOXES, 2))
    first = (random.random((BOXES, 2)) * (np.array(IMAGE[::-1]) - sizes)).astype(np.int64) + 1
    boxes = torch.from_numpy(np.concatenate([first, first + sizes], 1))
    with torch.inference_mode():
        began = time.thread_time()
        pool.regions(convolutions(image)[0], boxes, stride=16)
        together = time.thread_time() - began
        began = time.thread_time()
        for left, top, right, bottom in boxes[:CROPS].tolist():
            crop = F.interpolate(image[:, :, top - 1 : bottom, left - 1 : right], (CROP, CROP), mode="bilinear")
            pool(convolutions(crop))
        alone = time.thread_time() - began
    return alone * BOXES / CROPS / together


def _resized(x: Tensor, side: int) -> Tensor:
    return x if side == x.shape[-1] else F.interpolate(x, (side, side), mode="bilinear", antialias=True)


def _pictures(part: Digits, seed: int) -> Pictures:
    return Pictures(F.avg_pool2d(cluttered(part, pieces=1, seed=seed)[0], 2), part.labels)


def _third(runs: Runs, third: int) -> Runs:
    assert runs.units is not None
    units = np.split(runs.units, 3, axis=1)[third]
    return replace(runs, scores=units.mean(1), units=units)
