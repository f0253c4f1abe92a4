"""KMax: the k greatest values of each channel, in the order in which they stand.

    y_d = (x_(n_1)d, ..., x_(n_k)d)        n_1 < ... < n_k the places of the k greatest x_nd; of equal ones the first

Kalchbrenner, Grefenstette & Blunsom, "A convolutional neural network for modelling sentences" (1404.2188).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cenote.kernels import ragged
from cenote.kernels.segments import unpacked
from cenote.pool.base import Empty, Pooler

_LOOKED_FOR = 16
"""Up to so many slots the tokens are gone through slot by slot, beyond them they are sorted: the same places, at 1 to 3
ms a slot against 110 ms for 64 rows of 128 tokens of width 384."""


class KMax(Pooler):
    """(B, N, D) -> (B, k D), slot by slot; a row of fewer than k tokens has zeros behind them.

    k: how many values, at least 1. Raises ValueError for fewer.
    """

    order = "ordered"
    scaling = "none"

    def __init__(self, k: int = 3, *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.k = k

    def out_dim(self, dim: int) -> int:
        """Return k times the width of the tokens."""
        return self.k * dim

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the greatest kept values per channel."""
        return k_greatest(x, mask, mask.sum(1).clamp(max=self.k), self.k).flatten(1)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the greatest values of each segment."""
        if not _looked_for(x, self.k):
            return self.padded(*unpacked(x, offsets))
        return _picked(x, *ragged.all_of(offsets, len(x)), offsets.diff().clamp(max=self.k), self.k).flatten(1)


def k_greatest(x: Tensor, mask: Tensor, counts: Tensor, slots: int) -> Tensor:
    """Return (B, slots, D): of each row the `counts` greatest kept values per channel, in order, then zeros.

    counts (B,): at most the kept tokens of the row, and at most slots.
    """
    if _looked_for(x, slots):
        return _picked(x.flatten(0, 1), *ragged.kept(mask), counts, slots)
    more = max(slots - x.shape[1], 0)
    x, kept = F.pad(x, (0, 0, 0, more)), F.pad(mask, (0, more), value=False)
    above = x.detach().clamp(min=torch.finfo(x.dtype).min)  # what is kept goes before what is not
    order = _greatest_first(torch.where(kept[:, :, None], above, -float("inf")), slots)
    left_out = (torch.arange(slots, device=x.device) >= counts[:, None])[:, :, None]
    places = order.masked_fill(left_out, x.shape[1]).sort(1).values  # what is left out goes behind
    return x.gather(1, places.clamp(max=x.shape[1] - 1)).masked_fill(left_out, 0)


def _looked_for(x: Tensor, slots: int) -> bool:
    """Whether one look at every token is enough."""
    return slots <= _LOOKED_FOR and ragged.fits(x)


def _picked(x: Tensor, places: Tensor, offsets: Tensor, counts: Tensor, slots: int) -> Tensor:
    """Return (B, slots, D) as `k_greatest` does, of rows that lie as in `kernels.ragged`."""
    found = ragged.greatest_places(x.detach(), places, offsets, counts, slots)
    left_out = (torch.arange(slots) >= counts[:, None])[:, :, None]
    if not len(x):
        return x.new_zeros(found.shape)
    return x.gather(0, found.flatten(0, 1)).view(found.shape).masked_fill(left_out, 0)


def _greatest_first(x: Tensor, slots: int) -> Tensor:
    """Return the places (B, slots, D) of the greatest values, of equal ones the first first; x is used up."""
    if slots > _LOOKED_FOR:
        return x.argsort(dim=1, descending=True, stable=True)[:, :slots]
    found = []
    for _ in range(slots):
        found.append(x.argmax(1, keepdim=True))
        x.scatter_(1, found[-1], -float("inf"))
    return torch.cat(found, 1)
