"""Last: the state of the last kept token, for causal models, whichever side the padding is on.

y = x_(n-1)
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.by_position import ByPosition


class Last(ByPosition):
    """(B, N, D) -> (B, D)."""

    order = "ordered"

    def weight(self, place: Tensor, count: Tensor) -> Tensor:
        """Return 1 for the last token, else 0."""
        return (place == count - 1).to(place.dtype)
