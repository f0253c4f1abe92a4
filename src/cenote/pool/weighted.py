"""Weighted: a mean in which later tokens count more, for causal models whose last tokens have seen the most.

    y = sum_p (p + 1) x_p / sum_p (p + 1)        p the place among the kept tokens, from 0

Muennighoff, "SGPT: GPT sentence embeddings for semantic search" (2202.08904).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.kernels.segments import masked_weighted_sum, segment_ids, segment_weighted_sum
from cenote.pool.base import Pooler


class Weighted(Pooler):
    """(B, N, D) -> (B, D)."""

    order = "ordered"
    scaling = "none"

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return float32 (B, N), zero where the mask leaves a token out."""
        return mask * _weight(mask.cumsum(1), mask.sum(1, keepdim=True), torch.float32)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum w x over the kept tokens."""
        weights = mask * _weight(mask.cumsum(1), mask.sum(1, keepdim=True), x.dtype)
        return masked_weighted_sum(weights, x, mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Sum w x over each segment."""
        rows = segment_ids(offsets)
        nth = torch.arange(1, len(x) + 1, device=x.device) - offsets[:-1][rows]
        return segment_weighted_sum(_weight(nth, offsets.diff()[rows], x.dtype), x, offsets)


def _weight(nth: Tensor, count: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 2 p / (n (n + 1)) of the p-th token, from 1, of n."""
    n = count.clamp(min=1).to(dtype)
    return 2 * nth / (n * (n + 1))
