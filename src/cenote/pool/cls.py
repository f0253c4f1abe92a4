"""Cls: the state of the first kept token, [CLS] in BERT-like models.

y = x_0
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels.segments import at_hand
from cenote.pool.at_place import AtPlace


class Cls(AtPlace):
    """(B, N, D) -> (B, D)."""

    def place(self, mask: Tensor) -> Tensor:
        """Return the first kept place."""
        return mask.int().argmax(1)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the first kept token, zeros for a row without one."""
        if at_hand(mask) and mask.shape[1] and bool(mask.numpy()[:, 0].all()):
            return x[:, 0].clone()  # no row has padding in front of it
        return super().padded(x, mask)

    def place_in_segments(self, offsets: Tensor) -> Tensor:
        """Return where each segment starts."""
        return offsets[:-1]
