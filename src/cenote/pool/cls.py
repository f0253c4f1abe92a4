"""Cls: the state of the first kept token, [CLS] in BERT-like models.

y = x_0
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.at_place import AtPlace


class Cls(AtPlace):
    """(B, N, D) -> (B, D)."""

    def place(self, mask: Tensor) -> Tensor:
        """Return the first kept place."""
        return mask.int().argmax(1)

    def place_in_segments(self, offsets: Tensor) -> Tensor:
        """Return where each segment starts."""
        return offsets[:-1]
