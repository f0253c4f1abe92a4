"""What computes states: the interface of models, whatever they are made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import torch
from torch import Tensor


class Model(Protocol):
    """Ids (M,) of rows with `lengths`, packed, to {layer: (M, dim)}; layer 0 is the input."""

    dim: int
    depth: int
    device: torch.device
    computed_by: str
    """What computes, in words."""
    concurrent: bool
    """Whether several threads may compute at the same time, each a batch of its own."""

    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return the states of the asked layers."""
        ...
