"""Dynamic k-max: k falls with the depth of the layer and grows with the length of the sentence.

    k_l = max(k_top, ceil((L - l) / L s))        l = 1..L the layer, s the words of the sentence

Kalchbrenner, Grefenstette & Blunsom, "A convolutional neural network for modelling sentences" (1404.2188). Every row
has a k of its own, so that a sentence's answer never depends on its batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.pool.kmax import k_greatest


class DynamicKMax(nn.Module):
    """(B, N, D), mask (B, N), words (B,) -> (B, K, D), mask (B, K); K is the greatest k of the batch.

    k_top: what the last layer keeps. layer: l, from 1. layers: L.

    Raises ValueError for k_top below 1 or a layer outside 1 to L.
    """

    def __init__(self, k_top: int, layer: int, layers: int) -> None:
        super().__init__()
        if k_top < 1:
            raise ValueError(f"k_top must be at least 1, not {k_top}")
        if not 1 <= layer <= layers:
            raise ValueError(f"layer must be between 1 and the number of layers, {layers}, not {layer}")
        self.k_top, self.layer, self.layers = k_top, layer, layers

    def k(self, words: Tensor) -> Tensor:
        """Return k (B,) of sentences of so many words."""
        above = self.layers - self.layer
        return ((above * words + self.layers - 1) // self.layers).clamp(min=self.k_top)

    def forward(self, x: Tensor, mask: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return the k greatest kept values of each row per channel, in order, and which slots hold one.

        words int64 (B,): the length of each sentence before any layer.

        Raises ValueError for a mask or words of other rows than x has.
        """
        if mask.shape != x.shape[:2] or words.shape != x.shape[:1]:
            given = f"mask has shape {tuple(mask.shape)} and words {tuple(words.shape)}"
            raise ValueError(f"{given}, but x has {x.shape[0]} rows of {x.shape[1]} places")
        k = self.k(words)
        counts = torch.minimum(k, mask.sum(1))
        slots = int(k.max()) if len(k) else self.k_top
        return k_greatest(x, mask, counts, slots), torch.arange(slots, device=x.device) < counts[:, None]
