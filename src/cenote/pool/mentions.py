"""Poolers of a pair of mentions: the greatest values over each mention, and over other sets of tokens, side by side.

    y = [max_{n in e1} x_n ; max_{n in e2} x_n ; max_{n in S_1} x_n ; ...]        an empty set gives zeros

Mentions and sets are of words; a token belongs to a set when its word does. A subclass is the line that says its sets.

Nguyen, Dernoncourt & Nguyen, "On the Effectiveness of the Pooling Methods for Biomedical Relation Extraction with Deep
Learning" (1911.01055).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from cenote.kernels.segments import segment_ids, segment_max, segment_sum
from cenote.pool.base import Empty, Pooler
from cenote.pool.max import Max


class Mentions(Pooler):
    """(B, N, D) -> (B, K D), with side inputs words and spans.

    words int64 (B, N) or (M,): the word each token belongs to, -1 for none, as tokenizers number them. spans int64
    (B, 2, 2): the first word of each mention and the one behind its last.

    overlap: whether the mentions may share words. Raises ValueError for mentions that are empty, that overlap where
    they may not, or that have no kept token, and for side inputs of another shape.
    """

    side = frozenset({"words", "spans"})
    scaling = "max"
    sets = 0
    """How many sets there are beside the mentions."""

    def __init__(self, overlap: bool = False, *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.overlap = overlap

    def out_dim(self, dim: int) -> int:
        """Return K D."""
        return (2 + self.sets) * dim

    @abstractmethod
    def others(self, words: Tensor, rows: Tensor, kept: Tensor, spans: Tensor, *args: Any, **side: Any) -> Tensor:
        """Return bool (T, K - 2): which of T tokens are in each set beside the mentions.

        words, rows and kept (T,): the word and the row of each token, and whether the mask keeps it.
        """

    def padded(self, x: Tensor, mask: Tensor, words: Tensor, spans: Tensor, **side: Tensor) -> Tensor:
        """Take the greatest values over the kept tokens of each set."""
        self._check(mask, words, spans, mask.any(1))
        rows = torch.arange(x.shape[0], device=x.device)[:, None].expand_as(mask)
        chosen = self._chosen(words.flatten(), rows.flatten(), mask.flatten(), spans, side)
        chosen = chosen.view(*mask.shape, 2 + self.sets) & mask[:, :, None]
        _check_found(chosen.any(1), mask.any(1))
        return torch.cat([Max().padded(x, part) for part in chosen.unbind(2)], 1)

    def packed(self, x: Tensor, offsets: Tensor, words: Tensor, spans: Tensor, **side: Tensor) -> Tensor:
        """Take the greatest values over the tokens of each set, segment by segment."""
        kept, some = torch.ones(len(x), dtype=torch.bool, device=x.device), offsets.diff() > 0
        self._check(kept, words, spans, some)
        chosen = self._chosen(words, segment_ids(offsets), kept, spans, side)
        found = segment_sum(chosen.to(x.dtype), offsets) > 0
        _check_found(found, some)
        parts = [segment_max(x.masked_fill(~part[:, None], -torch.inf), offsets) for part in chosen.unbind(1)]
        return torch.cat([part.masked_fill(~some[:, None], 0) for part, some in zip(parts, found.T, strict=True)], 1)

    def _chosen(self, words: Tensor, rows: Tensor, kept: Tensor, spans: Tensor, side: dict[str, Tensor]) -> Tensor:
        start, end = spans[rows].unbind(2)
        mentions = (words[:, None] >= start) & (words[:, None] < end)
        return torch.cat([mentions, self.others(words, rows, kept, spans, **side)], 1)

    def _check(self, mask: Tensor, words: Tensor, spans: Tensor, some: Tensor) -> None:
        """Look at the spans of the rows that have `some` token."""
        for name, value, shape in (("words", words, tuple(mask.shape)), ("spans", spans, (some.shape[0], 2, 2))):
            if value.is_floating_point() or value.dtype == torch.bool:
                raise TypeError(f"{name} must hold integers, not {value.dtype}")
            if value.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, not {tuple(value.shape)}")
        if torch.compiler.is_compiling():
            return
        empty = (spans[..., 0] < 0) | (spans[..., 0] >= spans[..., 1])
        if bool((empty & some[:, None]).any()):
            row, which = torch.nonzero(empty & some[:, None])[0].tolist()
            first, behind = spans[row, which].tolist()
            raise ValueError(f"spans: mention {which} of row {row} is empty, from word {first} to before {behind}")
        shared = (spans[..., 0].amax(1) < spans[..., 1].amin(1)) & some
        if not self.overlap and bool(shared.any()):
            rows = torch.nonzero(shared).flatten().tolist()
            raise ValueError(f"spans: the mentions of rows {rows} overlap; make the pooler with overlap=True")


def _check_found(found: Tensor, some: Tensor) -> None:
    """Refuse a mention that no kept token belongs to; found (B, K)."""
    if torch.compiler.is_compiling():
        return
    lost = ~found[:, :2] & some[:, None]
    if bool(lost.any()):
        row, which = torch.nonzero(lost)[0].tolist()
        raise ValueError(f"no kept token of row {row} belongs to its mention {which}; is it beyond the model's window?")
