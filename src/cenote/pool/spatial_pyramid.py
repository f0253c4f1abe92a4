"""Spatial pyramid pooling: a map of any size cut into n x n parts for several n, each part pooled by itself.

    part (i, j) of n x n: rows floor(i H/n) .. ceil((i + 1) H/n) - 1, columns alike

He, Zhang, Ren & Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition" (1406.4729). The
vector is as long for every size, so that training may change the size of its images from epoch to epoch, and one map
serves any number of regions of its image.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.kernels.segments import wide
from cenote.pool.pyramid import check_kind, check_levels


class SpatialPyramid(nn.Module):
    """(B, C, H, W) -> (B, C sum n^2): level by level, each channel by channel, each row by row.

    levels: each n; (6, 3, 2, 1) are 50 parts. kind: how a part is pooled. rule: "adaptive" as above; "window" slides
    windows of ceil(H/n) in steps of floor(H/n), as the paper trains, and may leave out the border, which is warned of.

    Raises ValueError for no levels, one below 1, or another kind or rule.
    """

    def __init__(
        self,
        levels: int | Sequence[int] = (6, 3, 2, 1),
        *,
        kind: Literal["max", "mean"] = "max",
        rule: Literal["adaptive", "window"] = "adaptive",
    ) -> None:
        super().__init__()
        if rule not in ("adaptive", "window"):
            raise ValueError(f"rule must be adaptive or window, not {rule!r}")
        self.levels, self.kind, self.rule = check_levels(levels), check_kind(kind), rule

    def out_dim(self, channels: int) -> int:
        """Return the width of the result for maps of so many channels."""
        return channels * sum(n * n for n in self.levels)

    def forward(self, x: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Pool x (B, C, H, W), or of each map the upper left sizes (B, 2), rows and columns; the rest is never read.

        Raises TypeError for x that is not floating, ValueError for x without cells, sizes that are not two numbers a
        map or reach beyond it, and under rule="window" a map smaller than a level.
        """
        if not x.is_floating_point():
            raise TypeError(f"x must hold floats, not {x.dtype}")
        if x.ndim != 4 or not x.shape[2] * x.shape[3]:
            raise ValueError(f"x must have shape (rows, channels, height, width) with cells, not {tuple(x.shape)}")
        if sizes is None:
            return self._pooled(x)
        if sizes.shape != (len(x), 2):
            given = f"sizes has shape {tuple(sizes.shape)} but x has {len(x)} maps"
            raise ValueError(f"{given}; pass height and width of each")
        if bool((sizes < 1).any() or (sizes > torch.tensor(x.shape[2:], device=sizes.device)).any()):
            raise ValueError(f"sizes must be at least 1 and at most {tuple(x.shape[2:])}, the size of x")
        cut = zip(x, sizes.tolist(), strict=True)
        each = [self._pooled(one[None, :, :height, :width]) for one, (height, width) in cut]
        return torch.cat(each) if each else x.new_zeros(0, self.out_dim(x.shape[1]))

    def regions(self, x: Tensor, boxes: Tensor, stride: int) -> Tensor:
        """Return (R, C sum n^2) of boxes (R, 4) of an image whose map is x (C, H, W).

        boxes: left, top, right, bottom in pixels, counted from 1. stride: pixels a cell, of all layers together. The
        layers are taken to pad by half their kernel, so that cell c, counted from 1, looks at pixel stride * c: a box
        has the cells floor(left / stride) + 1 to ceil(right / stride) - 1, and at least one.

        Raises ValueError for a box without area, a stride below 1, or shapes other than these.
        """
        if stride < 1:
            raise ValueError(f"stride must be at least 1, not {stride}")
        if x.ndim != 3 or boxes.ndim != 2 or boxes.shape[1] != 4:
            given = f"x has shape {tuple(x.shape)} and boxes {tuple(boxes.shape)}"
            raise ValueError(f"{given}; one map (channels, height, width) and boxes (number, 4) were expected")
        if bool((boxes[:, :2] >= boxes[:, 2:]).any()):
            bad = torch.nonzero((boxes[:, :2] >= boxes[:, 2:]).any(1)).flatten().tolist()
            raise ValueError(f"boxes {bad} have no area; give left < right and top < bottom")
        last = torch.tensor([x.shape[2], x.shape[1]], device=boxes.device)
        first = (torch.floor(boxes[:, :2] / stride).long() + 1).clamp(min=1).minimum(last)
        stop = torch.maximum((torch.ceil(boxes[:, 2:] / stride).long() - 1).minimum(last), first)
        cells = torch.cat([first - 1, stop], 1).tolist()
        each = [self(x[None, :, top:bottom, left:right]) for left, top, right, bottom in cells]
        return torch.cat(each) if each else x.new_zeros(0, self.out_dim(len(x)))

    def _pooled(self, x: Tensor) -> Tensor:
        return torch.cat([self._level(wide(x), n).flatten(1) for n in self.levels], dim=1).to(x.dtype)

    def _level(self, x: Tensor, n: int) -> Tensor:
        if self.rule == "adaptive":
            return F.adaptive_max_pool2d(x, n) if self.kind == "max" else F.adaptive_avg_pool2d(x, n)
        sizes = x.shape[2:]
        if min(sizes) < n:
            raise ValueError(f"a map of {tuple(sizes)} cells has no {n} windows on each axis; use rule='adaptive'")
        kernel, stride = [-(-size // n) for size in sizes], [size // n for size in sizes]
        if any((n - 1) * s + k < size for size, k, s in zip(sizes, kernel, stride, strict=True)):
            warnings.warn(f"{n} x {n} windows do not reach the border of {tuple(sizes)} cells", stacklevel=4)
        pooled = F.max_pool2d(x, kernel, stride) if self.kind == "max" else F.avg_pool2d(x, kernel, stride)
        return pooled[:, :, :n, :n]


def nearest_scale(boxes: Tensor, scales: Sequence[float], target: int = 224) -> Tensor:
    """Return int64 (R,): which scale of the image brings each box (R, 4) nearest to target x target pixels in area.

    Raises ValueError for no scales, or one that is not above 0.
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"scales must be one number or more, each greater than 0, not {scales}")
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).double()
    scaled = area[:, None] * torch.tensor(scales, dtype=torch.float64, device=boxes.device).square()
    return (scaled - target**2).abs().argmin(1)
