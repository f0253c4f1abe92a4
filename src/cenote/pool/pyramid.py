"""Pyramid: a row cut into n even parts for several n, each part pooled by itself.

    part i of n: the tokens floor(i N/n) .. ceil((i + 1) N/n) - 1        y = all parts of all n, side by side

He, Zhang, Ren & Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition" (1406.4729), along
one axis: N is the number of kept tokens of each row. Parts overlap where n does not divide N, and repeat tokens where a
row has fewer than n, as in torch's adaptive pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from cenote.pool.base import Empty, Pooler
from cenote.pool.max import Max
from cenote.pool.mean import Mean


class Pyramid(Pooler):
    """(B, N, D) -> (B, sum(levels) D), part by part.

    levels: each n, or the one n. kind: how a part is pooled.

    Raises ValueError for no levels, one below 1, or another kind.
    """

    order = "ordered"
    scaling = "none"

    def __init__(
        self, levels: int | Sequence[int] = (4, 2, 1), *, kind: Literal["max", "mean"] = "max", empty: Empty = "zero"
    ) -> None:
        super().__init__(empty=empty)
        self.levels, self.kind = check_levels(levels), check_kind(kind)
        self.part: Pooler = Max() if kind == "max" else Mean()

    def out_dim(self, dim: int) -> int:
        """Return the number of parts times the width of the tokens."""
        return sum(self.levels) * dim

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool each part of the kept tokens."""
        rows, tokens = mask.shape
        if not mask.numel():
            return x.new_zeros(rows, self.out_dim(x.shape[-1]))
        kept_first = (~mask).int().argsort(dim=1, stable=True)
        count, first = mask.sum(1)[:, None, None], torch.arange(rows, device=x.device)[:, None, None] * tokens
        parts = []
        for n in self.levels:
            i = torch.arange(n, device=x.device)[:, None]
            nth = i * count // n + torch.arange(
                min(tokens, tokens // n + 2), device=x.device
            )  # (B, n, tokens of a part)
            inside = (nth < _ceil((i + 1) * count, n)).flatten(0, 1)
            at = first + kept_first.gather(1, nth.clamp(max=tokens - 1).flatten(1)).view_as(nth)
            each = x.flatten(0, 1).index_select(0, at.flatten()).view(*inside.shape, x.shape[-1])
            parts.append(self.part.padded(each, inside).view(rows, -1))
        return torch.cat(parts, dim=1)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Pool each part of each segment."""
        first, count = offsets[:-1, None], offsets.diff()[:, None]
        i = torch.cat([torch.arange(n, device=x.device) for n in self.levels])
        n = torch.tensor(self.levels, device=x.device).repeat_interleave(torch.tensor(self.levels, device=x.device))
        starts, stops = (first + i * count // n).flatten(), (first + _ceil((i + 1) * count, n)).flatten()
        borders = torch.cat([offsets.new_zeros(1), (stops - starts).cumsum(0)])
        # the parts written end to end; a token stands in as many as overlap there
        behind = torch.repeat_interleave(starts - borders[:-1], stops - starts)
        parts = self.part.packed(x[torch.arange(len(behind), device=x.device) + behind], borders)
        return parts.view(len(first), -1) if len(first) else parts.new_zeros(0, self.out_dim(x.shape[1]))


def check_levels(levels: int | Sequence[int]) -> list[int]:
    """Return the levels as a list; ValueError for none, one below 1, or what is no whole number."""
    each = [levels] if isinstance(levels, int) else list(levels)
    if not each or not all(isinstance(one, int) and one >= 1 for one in each):
        raise ValueError(f"levels must be one number of parts or more, each at least 1, not {levels!r}")
    return each


def check_kind(kind: Literal["max", "mean"]) -> Literal["max", "mean"]:
    """Return the kind; ValueError where it is neither."""
    if kind not in ("max", "mean"):
        raise ValueError(f"kind must be max or mean, not {kind!r}")
    return kind


def _ceil(a: Tensor, b: Tensor | int) -> Tensor:
    return (a + b - 1) // b
