"""Weighted: a mean in which later tokens count more, for causal models whose last tokens have seen the most.

    y = sum_p (p + 1) x_p / sum_p (p + 1)        p the place among the kept tokens, from 0

Muennighoff, "SGPT: GPT sentence embeddings for semantic search" (2202.08904).
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.by_position import ByPosition


class Weighted(ByPosition):
    """(B, N, D) -> (B, D)."""

    order = "ordered"
    scaling = "none"

    def weight(self, place: Tensor, count: Tensor) -> Tensor:
        """Return 2 (p + 1) / (n (n + 1))."""
        return 2 * (place + 1) / (count * (count + 1))
