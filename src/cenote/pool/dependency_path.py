"""The words that connect two mentions in a dependency tree, and those close by.

    S = the shortest path between the two mentions' own heads        through their lowest common ancestor
    S_h = the words at most h edges from S, and the words of both mentions

A mention's own head is its first word that hangs from outside it. A sentence of several roots is joined above them, and
that joint is a node like others where edges are counted. Ancestors are found by doubling pointers: O(W log W) a row.

Nguyen, Dernoncourt & Nguyen, "On the Effectiveness of the Pooling Methods for Biomedical Relation Extraction with Deep
Learning" (1911.01055); words near the path after Zhang, Qi & Manning, "Graph Convolution over Pruned Dependency Trees
Improves Relation Extraction" (1809.10185).
"""

from __future__ import annotations

import torch
from torch import Tensor


def dependency_path(heads: Tensor, spans: Tensor, hops: int = 0) -> Tensor:
    """Return bool (B, W): the words of S_hops.

    heads int64 (B, W): the word each hangs from, -1 for a root, less behind the last word of a row. spans int64
    (B, 2, 2): first word of each mention and the one behind its last.

    Raises ValueError for hops below 0, spans that are empty or beyond the row, and for heads that are no word of the
    row or run in a circle.
    """
    if hops < 0:
        raise ValueError(f"hops must be at least 0, not {hops}")
    rows, words = heads.shape
    place = torch.arange(words + 1, device=heads.device)
    # node `words` joins the roots; what lies behind a row hangs there too, as leaves that are no words
    joint = torch.full((rows, 1), words, device=heads.device)
    parent = torch.cat([torch.where(heads < 0, words, heads), joint], 1)
    is_word = torch.cat([heads >= -1, joint < 0], 1)
    _check(heads, spans, parent, is_word)
    inside = (place >= spans[..., :1]) & (place < spans[..., 1:])
    outward = inside & ~inside.gather(2, parent[:, None].expand_as(inside))
    ends = torch.nn.functional.one_hot(outward.int().argmax(2), words + 1).bool()
    above = _ancestors(ends, parent)
    common = above.all(1)
    lowest = common & ~_reached(common & is_word, parent)
    near = (above[:, 0] ^ above[:, 1]) | lowest
    for _ in range(hops):
        near = near | _reached(near, parent) | near.gather(1, parent)
    return ((near | inside.any(1)) & is_word)[:, :words]


def _reached(marked: Tensor, pointer: Tensor) -> Tensor:
    """Return the nodes that a marked one points to; marked (B, W + 1)."""
    return torch.zeros_like(pointer).scatter_add(1, pointer, marked.to(pointer.dtype)) > 0


def _ancestors(marked: Tensor, parent: Tensor) -> Tensor:
    """Return (B, 2, W + 1): what is marked and everything above it."""
    pointer = parent
    for _ in range(parent.shape[1].bit_length()):
        marked = torch.stack([each | _reached(each, pointer) for each in marked.unbind(1)], 1)
        pointer = pointer.gather(1, pointer)
    return marked


def _check(heads: Tensor, spans: Tensor, parent: Tensor, is_word: Tensor) -> None:
    if torch.compiler.is_compiling():
        return
    words = heads.shape[1]
    outside = (heads >= 0) & ~is_word.gather(1, heads.clamp(0, words))
    if bool(outside.any()):
        row, word = (int(i) for i in torch.nonzero(outside)[0])
        raise ValueError(f"heads: word {word} of row {row} hangs from {int(heads[row, word])}, which is no word of it")
    pointer = parent
    for _ in range(parent.shape[1].bit_length()):
        pointer = pointer.gather(1, pointer)
    if bool((pointer != words).any()):
        row, word = (int(i) for i in torch.nonzero(pointer != words)[0])
        raise ValueError(f"heads: from word {word} of row {row} no root is reached; they run in a circle")
    wrong = (spans[..., 0] < 0) | (spans[..., 0] >= spans[..., 1]) | (spans[..., 1] > is_word.sum(1, keepdim=True))
    if bool(wrong.any()):
        row, which = (int(i) for i in torch.nonzero(wrong)[0])
        first, behind = spans[row, which].tolist()
        count = int(is_word[row].sum())
        raise ValueError(f"spans: mention {which} of row {row} is from {first} to before {behind}, of {count} words")
