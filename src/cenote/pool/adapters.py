"""Poolers made of poolers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cenote.pool.base import Empty, Pooler


class Concat(Pooler):
    """Several poolers of the same tokens, side by side: (B, N, D) -> (B, sum of their widths)."""

    order = "ordered"
    scaling = "none"

    def __init__(self, poolers: Sequence[Pooler], *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        if not poolers:
            raise ValueError("poolers must hold at least one pooler")
        self.poolers = nn.ModuleList(poolers)

    def _all(self) -> list[Pooler]:
        return [pooler for pooler in self.poolers if isinstance(pooler, Pooler)]

    def out_dim(self, dim: int) -> int:
        """Return the sum of the widths of the parts."""
        return sum(pooler.out_dim(dim) for pooler in self._all())

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Concatenate what each part makes of x."""
        return torch.cat([pooler.padded(x, mask) for pooler in self._all()], dim=-1)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Concatenate what each part makes of each segment."""
        return torch.cat([pooler.packed(x, offsets) for pooler in self._all()], dim=-1)
