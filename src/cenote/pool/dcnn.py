"""DCNN: sentences classified by wide convolutions, folding and dynamic k-max pooling.

    x (B, maps, D, N) -> wide convolution along N, row by row -> fold: rows 2i and 2i + 1 added, D -> D/2
      -> dynamic k-max -> tanh(. + b)    for each layer; then dropout and a linear layer on k_top slots

Kalchbrenner, Grefenstette & Blunsom, "A convolutional neural network for modelling sentences" (1404.2188). The defaults
are those of its binary sentiment task; five classes had widths 10 and 7, maps 6 and 12 and k_top 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.kernels.segments import unpacked
from cenote.pool.dynamic_kmax import DynamicKMax


class DCNN(nn.Module):
    """Words (B, N) -> logits (B, classes).

    vocabulary: how many words there are. dim: D of a word's vector. widths, maps: of each layer. k_top: values of a
    channel that reach the linear layer. dropout: its share before that layer.

    Raises ValueError for fewer widths than maps or none, widths or maps below 1, or dim that cannot be halved by
    every layer.
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        dim: int = 48,
        widths: Sequence[int] = (7, 5),
        maps: Sequence[int] = (6, 14),
        k_top: int = 4,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(maps) or min(*widths, *maps) < 1:
            raise ValueError(f"widths {tuple(widths)} and maps {tuple(maps)} must be one of each a layer, at least 1")
        if dim % 2 ** len(widths):
            raise ValueError(f"dim must be a multiple of {2 ** len(widths)}: each layer folds it in half, not {dim}")
        self.vocabulary, self.classes, self.dim, self.k_top, self.dropout = vocabulary, classes, dim, k_top, dropout
        self.widths, self.maps = list(widths), list(maps)
        self.words = nn.Embedding(vocabulary, dim)
        # short vectors leave tanh its slope: on TREC's questions they learn in two epochs what unit ones do in six
        nn.init.normal_(self.words.weight, std=0.25)
        self.layers = nn.ModuleList(
            Layer(before, after, dim // 2**i, width, DynamicKMax(k_top, i + 1, len(widths)))
            for i, (before, after, width) in enumerate(zip([1, *maps], maps, widths, strict=False))
        )
        self.drop = nn.Dropout(dropout)
        self.classify = nn.Linear(k_top * maps[-1] * dim // 2 ** len(widths), classes)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return logits for words int64 (B, N) that mask (B, N; True keeps) keeps; a sentence of none has those of 0.

        Raises ValueError for a mask of another shape.
        """
        if mask.shape != words.shape:
            given = f"mask has shape {tuple(mask.shape)} but words {tuple(words.shape)}"
            raise ValueError(f"{given}; pass one boolean for each word")
        lengths = mask.sum(1)
        # gaps are closed: a convolution must see neighbours side by side
        x, kept = unpacked(self.words(words[mask]), F.pad(lengths.cumsum(0), (1, 0)))
        x, kept = F.pad(x, (0, 0, 0, 1)), F.pad(kept, (0, 1))  # no convolution takes rows of nothing
        for layer in self.layers:
            x, kept = layer(x, kept, lengths)
        logits: Tensor = self.classify(self.drop(x.flatten(1)))
        return logits


class Layer(nn.Module):
    """One layer: (B, N, maps_in D), mask -> (B, K, maps_out D/2), mask; zeros where the mask keeps nothing."""

    def __init__(self, maps_in: int, maps_out: int, dim: int, width: int, pool: DynamicKMax) -> None:
        super().__init__()
        self.dim, self.width, self.pool = dim, width, pool
        bound = 1 / math.sqrt(maps_in * width)
        # every row of the D has filters of its own
        self.weight = nn.Parameter(torch.empty(dim * maps_out, maps_in, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(dim // 2 * maps_out))

    def forward(self, x: Tensor, mask: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve, fold, pool and bend the kept places, which come first in each row; the others are zeros."""
        wide = F.conv1d(x.mT, self.weight, padding=self.width - 1, groups=self.dim)
        reached = torch.arange(wide.shape[-1], device=x.device) < (mask.sum(1) + self.width - 1)[:, None]
        folded = wide.view(len(x), self.dim // 2, 2, -1, wide.shape[-1]).sum(2).flatten(1, 2)
        pooled, kept = self.pool(folded.mT, reached & mask.any(1)[:, None], words)
        return (pooled + self.bias).tanh().masked_fill(~kept[:, :, None], 0), kept
