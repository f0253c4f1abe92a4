"""Poolers that take one token of each row.

    y = x_p        p a place among the kept tokens

A subclass is the line that is its p.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from cenote.kernels.segments import rows_without_tokens, zeroed
from cenote.pool.base import Pooler


class AtPlace(Pooler):
    """(B, N, D) -> (B, D)."""

    order = "ordered"

    @abstractmethod
    def place(self, mask: Tensor) -> Tensor:
        """Return p (B,) of mask (B, N): an index into N, at least one."""

    @abstractmethod
    def place_in_segments(self, offsets: Tensor) -> Tensor:
        """Return p (B,) of segments: an index into the packed tokens; of empty ones any number."""

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return float32 (B, N): 1 for the token, 0 for all others."""
        if not mask.shape[1]:
            return mask.float()
        return (F.one_hot(self.place(mask), mask.shape[1]) * mask).float()

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the kept token, zeros for a row without one."""
        if not mask.shape[1]:
            return x.sum(1)
        found = x[torch.arange(x.shape[0], device=x.device), self.place(mask)]
        return zeroed(found, rows_without_tokens(mask))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the token of each segment, zeros for an empty one."""
        if not len(x):
            return x.new_zeros(len(offsets) - 1, x.shape[-1])
        found = x[self.place_in_segments(offsets).clamp(0, len(x) - 1)]
        return found.masked_fill((offsets.diff() == 0)[:, None], 0)
