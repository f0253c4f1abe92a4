"""States: what an encoder computed for a batch of texts, packed as computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from cenote.arrays import Bool, Int64
from cenote.encode.tokens import Tokens


@dataclass(frozen=True)
class States:
    """Token states of B texts, M tokens in all, without padding.

    layers: {index: (M, D)}, 0 the embedding output, 1..L the blocks. offsets: int64 (B + 1).
    spans: int64 (M, 2), half-open characters of the original text, (-1, -1) for specials and prompts.
    keep: bool (M,), what the model's own pooling reads. special: bool (M,).
    rows: int64 (B,), which input each row is.
    """

    layers: dict[int, Tensor]
    offsets: Tensor
    spans: Tensor
    keep: Tensor
    special: Tensor
    rows: Int64

    @classmethod
    def of(
        cls, layers: dict[int, Tensor], tokens: Sequence[Tokens], rows: Int64, prompt: int, *, include_prompt: bool
    ) -> Self:
        """Put the layers that were computed for some texts together with their tokens.

        rows: int64 (B,), which input each is. prompt: characters of the prompt that every text begins with;
        include_prompt: whether the model's own pooling reads it.
        """
        device = next(iter(layers.values())).device
        lengths = [len(one) for one in tokens]
        spans = np.concatenate([one.spans for one in tokens])
        special = np.concatenate([one.special for one in tokens])
        keep = np.ones(len(spans), np.bool_)
        if prompt:
            inside = ~special & (spans[:, 1] <= prompt)
            spans = np.where((special | inside)[:, None], -1, np.maximum(spans - prompt, 0))
            if not include_prompt:
                # like the model's own pooling, also without the special tokens that stand before the prompt
                keep = _behind_prompt(inside, lengths)
        return cls(
            layers=layers,
            offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)).to(device),
            spans=torch.from_numpy(spans),
            keep=torch.from_numpy(keep).to(device),
            special=torch.from_numpy(special).to(device),
            rows=rows,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def last(self) -> int:
        """Index of the last layer that is held."""
        return max(self.layers)

    def kept(self, layer: int | None = None) -> tuple[Tensor, Tensor]:
        """Return (x (M', D), offsets (B + 1)): the tokens that `keep` marks, packed."""
        x = self.layers[self.last if layer is None else layer]
        if bool(self.keep.all()):
            return x, self.offsets
        before = torch.cat([self.keep.new_zeros(1, dtype=torch.int64), self.keep.cumsum(0)])
        return x[self.keep], before[self.offsets]

    def padded(self, layer: int | None = None) -> tuple[Tensor, Tensor]:
        """Return x (B, N, D), zeros beyond a row's end, and mask (B, N), True for the tokens of `keep`."""
        x = self.layers[self.last if layer is None else layer]
        lengths = self.offsets.diff()
        width = int(lengths.max()) if len(lengths) else 0
        real = torch.arange(width, device=x.device)[None, :] < lengths[:, None]
        out = x.new_zeros(len(self), width, x.shape[-1])
        mask = torch.zeros(len(self), width, dtype=torch.bool, device=x.device)
        out[real], mask[real] = x, self.keep
        return out, mask


def _behind_prompt(inside: Bool, lengths: Sequence[int]) -> Bool:
    """Return (M,) bool: in each row, the tokens that stand behind its last prompt token."""
    keep = np.ones(len(inside), np.bool_)
    at = 0
    for length in lengths:
        prompt = np.flatnonzero(inside[at : at + length])
        if len(prompt):
            keep[at : at + prompt[-1] + 1] = False
        at += length
    return keep
