"""DependencyPool: the greatest values over each of two mentions, and over the words that connect them in the tree.

    y = [max_{n in e1} x_n ; max_{n in e2} x_n ; max_{n in S_h} x_n]

S_h are the words at most h edges from the shortest path between the mentions, and those of the mentions
(`dependency_path`): h = 0 the path itself, h = 1 what hangs on it too.

Nguyen, Dernoncourt & Nguyen, "On the Effectiveness of the Pooling Methods for Biomedical Relation Extraction with Deep
Learning" (1911.01055).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.pool.base import Empty
from cenote.pool.dependency_path import dependency_path
from cenote.pool.mentions import Mentions


class DependencyPool(Mentions):
    """(B, N, D) -> (B, 3 D), with the side input heads beside words and spans.

    heads int64 (B, W): the word each word hangs from, -1 for a root, less behind the last word of a row.

    hops: h. Raises ValueError for hops below 0, for heads that are no tree, for a token whose word the tree does not
    have, and as `Mentions` does.
    """

    side = frozenset({"words", "spans", "heads"})
    sets = 1

    def __init__(self, hops: int = 0, overlap: bool = False, *, empty: Empty = "zero") -> None:
        super().__init__(overlap, empty=empty)
        if hops < 0:
            raise ValueError(f"hops must be at least 0, not {hops}")
        self.hops = hops

    def others(self, words: Tensor, rows: Tensor, kept: Tensor, spans: Tensor, heads: Tensor) -> Tensor:
        """Return the tokens whose word is in S_h."""
        if heads.is_floating_point() or heads.dtype == torch.bool:
            raise TypeError(f"heads must hold integers, not {heads.dtype}")
        if heads.ndim != 2 or heads.shape[0] != spans.shape[0]:
            raise ValueError(f"heads must have shape ({len(spans)}, words), not {tuple(heads.shape)}")
        count = heads.shape[1]
        _check_words(words, rows, kept, (heads >= -1).sum(1))
        # a row without tokens may come with anything: it is given a tree of roots and mentions of its first word
        some = spans.new_zeros(spans.shape[0]).index_add(0, rows, kept.to(spans.dtype)) > 0
        heads = torch.where(some[:, None], heads, -1)
        spans = torch.where(some[:, None, None], spans, spans.new_tensor([0, min(1, count)]))
        near = dependency_path(heads, spans, self.hops)
        inside = (words >= 0) & (words < count)
        return (near[rows, words.clamp(0, count - 1)] & inside)[:, None]


def _check_words(words: Tensor, rows: Tensor, kept: Tensor, counts: Tensor) -> None:
    if torch.compiler.is_compiling():
        return
    beyond = kept & (words >= counts[rows])
    if bool(beyond.any()):
        token = int(torch.nonzero(beyond)[0])
        row = int(rows[token])
        raise ValueError(f"a token of row {row} is of word {int(words[token])}, but heads has {int(counts[row])} words")
