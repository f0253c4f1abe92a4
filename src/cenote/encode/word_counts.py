"""Weighted words, one dimension each: the states of a bag of words, whose sum is its vector.

x_t = w_t e_t        e_t the unit vector of word t
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor


class WordCounts:
    """Weights (V,) of words; a token's state is its word's weight in its word's dimension. It has layer 0 only."""

    depth = 0
    computed_by = "weights of words"
    concurrent = False

    def __init__(self, weights: Sequence[float], device: torch.device) -> None:
        self.device = device
        self._weights = torch.tensor(weights, dtype=torch.float32, device=device)
        self.dim = len(weights)

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {0: (M, V)} for ids (M,)."""
        out = torch.zeros(len(ids), self.dim, device=self.device)
        return {0: out.scatter_(1, ids[:, None], self._weights[ids][:, None])}
