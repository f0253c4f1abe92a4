"""Boxes from maps: the largest connected part of a map above a share of its greatest value.

box = bounds of the largest component of {map >= threshold * max(map)}
"""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor


def boxes(maps: Tensor, threshold: float = 0.5) -> Tensor:
    """Return int64 (…, 4), for maps (…, H, W) that are nowhere negative: left, top, right, bottom in cells, half-open.

    Cells touch by their sides. Raises ValueError for fewer than two axes, a map without cells, a negative value or NaN,
    or a threshold outside 0 to 1.
    """
    if maps.ndim < 2 or not maps.shape[-1] * maps.shape[-2]:
        raise ValueError(f"maps must have shape (…, height, width) with cells in it, not {tuple(maps.shape)}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be between 0 and 1, not {threshold}")
    if not bool((maps >= 0).all()):
        raise ValueError("maps must hold weights, which are 0 or greater; it holds negative values or NaN")
    flat = maps.detach().flatten(0, -3) if maps.ndim > 2 else maps.detach()[None]
    found = torch.tensor([_box(each, threshold) for each in flat], dtype=torch.int64)
    return found.view(*maps.shape[:-2], 4)


def _box(each: Tensor, threshold: float) -> tuple[int, int, int, int]:
    parts, _ = ndimage.label((each >= threshold * each.max()).cpu().numpy())
    sizes = torch.from_numpy(parts).flatten().bincount()
    sizes[0] = 0  # what is below the threshold
    rows, columns = ndimage.find_objects(parts)[int(sizes.argmax()) - 1]
    return columns.start, rows.start, columns.stop, rows.stop
