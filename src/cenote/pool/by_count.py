"""Poolers that add the tokens up and scale the sum by how many there are.

    y = w(n) sum_n x_n        n the number of kept tokens

A subclass is the one line that is its w.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from cenote.kernels.segments import masked_counts, masked_sum, segment_counts, segment_sum
from cenote.pool.base import Pooler


class ByCount(Pooler):
    """(B, N, D) -> (B, D)."""

    @abstractmethod
    def weight(self, count: Tensor) -> Tensor:
        """Return w for rows of `count` kept tokens, float and at least 1."""

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return float32 (B, N), zero where the mask leaves a token out."""
        return mask * self.weight(masked_counts(mask, torch.float32))

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Scale the sum of the kept tokens."""
        return masked_sum(x, mask) * self.weight(masked_counts(mask, x.dtype))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Scale the sum of each segment."""
        return segment_sum(x, offsets) * self.weight(segment_counts(offsets, x.dtype))
