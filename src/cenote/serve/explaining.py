"""Why a passage was found: what its score would lose without each of its tokens.

    c_n = s(q, f(x_1 .. x_N)) - s(q, f(x_1 .. x_N without x_n))        f = pooling, heads, transforms; s = dot product

The token states x (N, D) are computed once, so that what a token told the others stays; only the pooling is done again.
Contributions of the tokens of a word are added up. They are those of the float vectors, before any codec. In a passage
of more than 362 tokens neighbours are left out together, and share what they contribute, so that the work is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cenote.arrays import Float32, Int64
from cenote.compress.normalize import unit
from cenote.recipe import Chain
from cenote.recipe.dense import DenseLeg
from cenote.serve.encoding import dense

POOLED = 2**17
"""Tokens pooled for one passage, over all that is left out: 362 times 361."""
_TOGETHER = 2**13
"""Tokens pooled at a time: (8192, 384) fp32 is 12 MiB."""
_WORD = re.compile(r"\w+(?:['’-]\w+)*|\S", re.UNICODE)


@dataclass(frozen=True)
class Contribution:
    """A word of a passage, characters `start` to `end`, and what the score would lose without it."""

    start: int
    end: int
    weight: float


def explain(chain: Chain, query: str, passages: Sequence[str]) -> list[list[Contribution]]:
    """Return the contributions of the words of each passage to its score for a question, in the order of the text.

    Of a fusion it is the score of the first leg that has a model. Words that lie beyond the encoder's window have none
    and are left out. Raises ValueError where no leg has a model.
    """
    leg, encoder = dense(chain), chain.encoder
    q = leg.vectors([query], "query")[0]
    found: dict[int, list[Contribution]] = {}
    for states in encoder.states(passages, "document"):
        x, offsets = states.kept()
        spans = states.spans[states.keep.cpu()].numpy()
        for row, start, end in zip(states.rows.tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            carried = _carried(leg, q, x[start:end])
            found[row] = _words(passages[row], spans[start:end], carried)
    return [found[row] for row in range(len(passages))]


def _carried(leg: DenseLeg, q: Float32, x: Tensor) -> Float32:
    """Return float32 (N,): the contribution of every token of x (N, D)."""
    n = len(x)
    if not n:
        return np.zeros(0, np.float32)
    runs = max(1, min(n, POOLED // n))
    run = torch.arange(n) * runs // n
    without = []
    step = max(1, _TOGETHER // n)
    for first in range(0, runs, step):
        left_out = torch.arange(first, min(first + step, runs))
        kept = run != left_out[:, None]
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), kept.sum(1).cumsum(0)])
        without.append(_scores(leg, q, x.repeat(len(left_out), 1)[kept.flatten()], offsets))
    whole = _scores(leg, q, x, torch.tensor([0, n]))
    lost = np.asarray((whole - np.concatenate(without)) / np.bincount(run), np.float32)
    carried: Float32 = lost[run.numpy()]
    return carried


def _scores(leg: DenseLeg, q: Float32, x: Tensor, offsets: Tensor) -> Float32:
    """Return float32 (B,): the scores of rows of packed tokens x (M, D)."""
    encoder, cosine = leg.encoder, leg.encoder.similarity == "cosine"
    pooler = None if leg.pool is None else encoder.pooler(leg.pool)
    vectors = encoder.pooled(x, offsets.to(x.device), pooler)
    vectors = unit(vectors) if cosine else vectors
    for transform in leg.transforms:
        vectors = transform.apply(vectors, "document")
        vectors = unit(vectors) if cosine else vectors
    scores: Float32 = vectors @ q
    return scores


def _words(text: str, spans: Int64, carried: Float32) -> list[Contribution]:
    """Add the contributions of tokens (N,) up by the word that their characters (N, 2) begin in."""
    words = [match.span() for match in _WORD.finditer(text)]
    if not words:
        return []
    ends = np.array([end for _, end in words])
    weights = np.zeros(len(words))
    # specials stand nowhere; a token may begin with the space before its word
    real = (spans[:, 0] >= 0) & (spans[:, 1] > spans[:, 0])
    at = np.searchsorted(ends, spans[real, 1] - 1, side="right").clip(max=len(words) - 1)
    np.add.at(weights, at, carried[real])
    read = np.unique(at)
    return [Contribution(words[n][0], words[n][1], float(weights[n])) for n in read]
