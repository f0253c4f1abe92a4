"""Handwritten digits for claims about pictures, sets and bags: the 10,000 of MNIST's test part.

They are cut into three by a seed: `train`, `dev` and `test` never share a digit.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDE = 28
"""Pixels a side."""
_HEADER = {"images": 16, "labels": 8}
"""Bytes before the data of an IDX file with three axes and with one."""


@dataclass(frozen=True)
class Digits:
    """Pictures float32 (n, 28, 28) in [0, 1] and what they show, int64 (n,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: slice | Tensor) -> Digits:
        """Return some of them."""
        return Digits(self.images[rows], self.labels[rows])


def digits(data: Path, train: int, dev: int, test: int, seed: int = 0) -> tuple[Digits, Digits, Digits]:
    """Return so many digits for each part, drawn with a seed.

    Raises ValueError where there are fewer than asked for.
    """
    both = [_idx(data, "images"), _idx(data, "labels")]
    images = torch.from_numpy(both[0]).view(-1, SIDE, SIDE).float() / 255
    labels = torch.from_numpy(both[1]).long()
    if train + dev + test > len(labels):
        raise ValueError(f"train, dev and test ask for {train + dev + test} digits of {len(labels)}; ask for fewer")
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    parts = torch.split(order[: train + dev + test], [train, dev, test])
    first, second, third = (Digits(images[part], labels[part]) for part in parts)
    return first, second, third


def cluttered(source: Digits, side: int = 40, pieces: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return pictures (n, 1, side, side) of each digit somewhere among pieces of others, and bool masks of its ink.

    A piece is 8 x 8 pixels of another digit of the same part; it never covers ink of the digit itself.
    """
    random = np.random.default_rng(seed)
    canvas = torch.zeros(len(source), 1, side, side)
    ink = torch.zeros(len(source), side, side, dtype=torch.bool)
    for row, image in enumerate(source.images):
        top, left = random.integers(0, side - SIDE + 1, 2)
        for _ in range(pieces):
            other = source.images[random.integers(len(source))]
            from_top, from_left = random.integers(4, SIDE - 12, 2)
            to_top, to_left = random.integers(0, side - 8, 2)
            piece = other[from_top : from_top + 8, from_left : from_left + 8]
            place = canvas[row, 0, to_top : to_top + 8, to_left : to_left + 8]
            torch.maximum(place, piece, out=place)
        own = canvas[row, 0, top : top + SIDE, left : left + SIDE]
        own.copy_(torch.where(image > 0.3, image, own))
        ink[row, top : top + SIDE, left : left + SIDE] = image > 0.3
    return canvas, ink


def _idx(data: Path, kind: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    axes = 3 if kind == "images" else 1
    raw = gzip.decompress((data / "mnist-t10k" / f"t10k-{kind}-idx{axes}-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=_HEADER[kind]).copy()
