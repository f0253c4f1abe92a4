"""Last: the state of the last kept token, for causal models, whichever side the padding is on.

y = x_(n-1)
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.at_place import AtPlace


class Last(AtPlace):
    """(B, N, D) -> (B, D)."""

    def place(self, mask: Tensor) -> Tensor:
        """Return the last kept place."""
        return mask.shape[1] - 1 - mask.flip(1).int().argmax(1)

    def place_in_segments(self, offsets: Tensor) -> Tensor:
        """Return where each segment ends."""
        return offsets[1:] - 1
