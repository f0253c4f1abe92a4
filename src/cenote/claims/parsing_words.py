"""A small dependency parser for claims that need trees: states of words that are not trained, and a biaffine score.

    s_ij = u_j^T U v_i + u_j^T a        word j hangs from word i, or from the root
    p_ij = softmax_i(s_ij)              trained by cross-entropy on the heads of a treebank

The tree is the one of the greatest product of p_ij + p_ji, whichever end is the head, found by Prim's algorithm from
the likeliest root, from which its edges are then directed.

Scores after Dozat & Manning, "Deep biaffine attention for neural dependency parsing" (1611.01734).
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.training import fit
from cenote.encode.encoder import Encoder
from cenote.kernels.segments import segment_mean, unpacked

WIDTH, HIDDEN, DROPOUT = 384, 256, 0.3
RATE, STEPS, BATCH = 3e-3, 300, 50


@dataclass(frozen=True)
class Worded:
    """Token states of sentences that come as words: layers {index: x (M, D)}, offsets (B + 1), and words (M,).

    words: which word of its sentence a token belongs to, -1 for specials.
    """

    layers: dict[int, Tensor]
    offsets: Tensor
    words: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1


def worded(sentences: Sequence[Sequence[str]], layers: Sequence[int], encoder: str = "minilm") -> Worded:
    """Encode sentences, their words joined by spaces, and keep the states of some layers."""
    found: list[tuple[dict[int, Tensor], Tensor]] = [({}, torch.zeros(0))] * len(sentences)
    for states in Encoder(encoder, dtype="fp32").states([" ".join(words) for words in sentences], layers=layers):
        for at, row in enumerate(states.rows):
            part = slice(int(states.offsets[at]), int(states.offsets[at + 1]))
            ends = torch.tensor([len(one) + 1 for one in sentences[row]]).cumsum(0)
            numbers = torch.bucketize(states.spans[part, 0].contiguous(), ends, right=True)
            numbers = numbers.masked_fill(states.spans[part, 0] < 0, -1)
            found[row] = {layer: x[part].clone() for layer, x in states.layers.items()}, numbers
    lengths = torch.tensor([0, *(len(numbers) for _, numbers in found)])
    joined = {layer: torch.cat([x[layer] for x, _ in found]) for layer in found[0][0]}
    return Worded(joined, lengths.cumsum(0), torch.cat([numbers for _, numbers in found]))


def of_words(states: Worded, layer: int) -> tuple[Tensor, Tensor]:
    """Return x (B, W, D), the mean of each word's tokens in a layer, and mask (B, W)."""
    own = states.words >= 0
    rows = torch.arange(len(states)).repeat_interleave(states.offsets.diff())[own]
    counts = torch.zeros(len(states), dtype=torch.int64).scatter_reduce(0, rows, states.words[own] + 1, "amax")
    starts = F.pad(counts.cumsum(0), (1, 0))
    number = starts[rows] + states.words[own]
    lengths = torch.bincount(number, minlength=int(starts[-1]))
    return unpacked(segment_mean(states.layers[layer][own], F.pad(lengths.cumsum(0), (1, 0))), starts)


def treebank(data: Path, split: str, most: int) -> tuple[list[list[str]], Tensor]:
    """Return sentences of LinES, the first `most` of two words or more, and heads (B, W): -1 a root, -2 behind one."""
    sentences: list[list[str]] = [[]]
    heads: list[list[int]] = [[]]
    with gzip.open(data / "ud-english-lines" / f"en_lines-ud-{split}.conllu.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            if cells[0].isdigit():  # neither a comment nor a word that was left out or joined from others
                sentences[-1].append(cells[1])
                heads[-1].append(int(cells[6]) - 1)
            elif not line.strip():
                sentences.append([])
                heads.append([])
    longer = [row for row, words in enumerate(sentences) if len(words) > 1][:most]
    return [sentences[row] for row in longer], padded_heads([heads[row] for row in longer])


def padded_heads(heads: Sequence[Sequence[int]]) -> Tensor:
    """Return (B, W) with -2 behind the last word of each row."""
    most = max(map(len, heads))
    return torch.tensor([[*row, *[-2] * (most - len(row))] for row in heads])


class Parser(nn.Module):
    """States of words (B, W, 384), mask (B, W) -> log p (B, W, W + 1): of each word, its head; the last is the root."""

    def __init__(self) -> None:
        super().__init__()
        layer = partial(nn.Sequential, nn.ReLU(), nn.Dropout(DROPOUT))
        self.norm = nn.LayerNorm(WIDTH)
        self.dependent, self.head = (nn.Sequential(nn.Linear(WIDTH, HIDDEN), layer()) for _ in range(2))
        self.root = nn.Parameter(torch.randn(1, 1, HIDDEN) / HIDDEN**0.5)
        self.both = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Score every head for every word."""
        x = self.norm(x)
        heads = torch.cat([self.head(x), self.root.expand(len(x), -1, -1)], 1)
        score = self.both(self.dependent(x)) @ heads.mT
        log: Tensor = score.masked_fill(~F.pad(mask, (0, 1), value=True)[:, None], -torch.inf).log_softmax(2)
        return log


def trained(x: Tensor, mask: Tensor, heads: Tensor, seed: int = 0) -> Parser:
    """Return a parser of the states of words (B, W, 384), as it is best on the last tenth of the sentences."""
    torch.manual_seed(seed)
    model = Parser()
    count = len(x) - len(x) // 10
    dev = slice(count, None)

    def loss(rows: Tensor) -> Tensor:
        most = int(mask[rows].sum(1).max())
        log = model(x[rows, :most], mask[rows, :most])[mask[rows, :most]]
        wanted = heads[rows, :most][mask[rows, :most]]
        return F.nll_loss(log, torch.where(wanted < 0, most, wanted))

    def on_dev() -> float:
        return attached(trees(model(x[dev], mask[dev]), mask[dev]), heads[dev])

    fit(model, loss, on_dev, count, rate=RATE, steps=STEPS, batch=BATCH, seed=seed)
    return model


def trees(log: Tensor, mask: Tensor) -> Tensor:
    """Return heads (B, W): -1 the root, -2 where mask (B, W) keeps no word; log as `Parser` gives it."""
    words = mask.shape[1]
    either = torch.logaddexp(log[:, :, :words], log[:, :, :words].mT)
    outside = -torch.inf
    found = torch.full(mask.shape, -2)
    rows = torch.arange(len(mask))
    newest = log[:, :, words].masked_fill(~mask, outside).argmax(1)
    found[rows, newest] = torch.where(mask.any(1), -1, -2)
    left = mask.clone()
    left[rows, newest] = False
    best, whose = torch.full(mask.shape, outside), torch.zeros_like(found)
    for _ in range(words - 1):
        nearer = either[rows, newest]
        whose = torch.where(nearer > best, newest[:, None], whose)
        best = torch.maximum(best, nearer)
        newest = best.masked_fill(~left, outside).argmax(1)
        more = left.any(1)
        found[rows[more], newest[more]] = whose[rows[more], newest[more]]
        left[rows, newest] = False
    return found


def attached(found: Tensor, heads: Tensor) -> float:
    """Return the share of the words but roots that are joined to their head, whichever way (both (B, W))."""
    child = heads >= 0
    rows, words = child.nonzero(as_tuple=True)
    head = heads[rows, words]
    joined = (found[rows, words] == head) | (found[rows, head] == words)
    return float(np.mean(joined.numpy()))
