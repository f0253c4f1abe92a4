"""Cls: the state of the first kept token, [CLS] in BERT-like models.

y = x_0
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.by_position import ByPosition


class Cls(ByPosition):
    """(B, N, D) -> (B, D)."""

    order = "ordered"

    def weight(self, place: Tensor, count: Tensor) -> Tensor:
        """Return 1 for the first token, else 0."""
        return (place == 0).to(place.dtype)
