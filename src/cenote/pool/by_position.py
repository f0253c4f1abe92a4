"""Poolers whose weights depend on where a token stands and on how many there are, and on nothing else.

    y = sum_n w(p_n, n) x_n        p_n = 0, 1, ... the place of the token among the kept ones, n their number

A subclass is the one line that is its w.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from cenote.kernels.segments import segment_ids, segment_sum
from cenote.pool.base import Pooler


class ByPosition(Pooler):
    """(B, N, D) -> (B, D)."""

    @abstractmethod
    def weight(self, place: Tensor, count: Tensor) -> Tensor:
        """Return w for tokens at `place` (from 0) in rows of `count` kept tokens; both float, count at least 1."""

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return float32 (B, N), zero where the mask leaves a token out."""
        return self._weights(mask, torch.float32)

    def _weights(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        place = mask.cumsum(1) - 1
        count = mask.sum(1, keepdim=True).clamp(min=1)
        return self.weight(place.to(dtype), count.to(dtype)).expand_as(place).masked_fill(~mask, 0)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum w x over the kept tokens."""
        weights = self._weights(mask, x.dtype)
        # a token of weight 0 may hold anything, and 0 times infinity is no zero
        return torch.einsum("bn,bnd->bd", weights, x.masked_fill((weights == 0)[:, :, None], 0))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Sum w x over each segment."""
        rows, counts = segment_ids(offsets), offsets.diff()
        place = torch.arange(len(x), device=x.device) - offsets[:-1][rows]
        weights = self.weight(place.to(x.dtype), counts[rows].to(x.dtype)).expand_as(place)[:, None]
        return segment_sum(weights * x.masked_fill(weights == 0, 0), offsets)
