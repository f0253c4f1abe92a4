"""The first token, after it has seen the greatest values of the last layers, classifies better where examples are few.

Behrendt, Wagner & Harmeling, "MaxPoolBERT: enhancing BERT classification via layer- and token-wise aggregation"
(2505.15696). There BERT, tuned whole on GLUE; here the last two of MiniLM's six layers, tuned on 240 short sentences of
two moods and 240 short questions of six kinds. MiniLM was trained for its mean, not for its first token. Sixteen
seeds, set beforehand: four left intervals as wide as what they are to decide, and sixteen halve them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertModel

from cenote.claims.finding import Finding
from cenote.claims.training import (
    Float64,
    Frozen,
    Trial,
    differences,
    fit,
    frozen,
    needed,
    sample,
    scores,
    shows,
    spread,
    table,
    together,
    tuned,
    word,
)
from cenote.encode.packaged import PACKAGED
from cenote.kernels.segments import unpacked
from cenote.pool.base import Pooler
from cenote.pool.cls import Cls
from cenote.pool.cls_attend import ClsAttend
from cenote.pool.max_cls import MaxCls
from cenote.pool.max_seq_attend import MaxSeqAttend

TASKS = {"sst2": "label", "trec": "coarse"}
"""Folders, and the column that says the kind."""
SIZES, WORDS = (240, 120, 400), 10
"""Examples of train, dev and test, and the words of the longest that is taken."""
RATES, SEEDS, STEPS, BATCH = (1e-4, 3e-4, 1e-3, 3e-3), 16, 45, 16
WIDTH, FROZEN, DROPOUT = 384, 4, 0.1
"""Of MiniLM; its layers that stay as they are, of 6; and what is dropped before the classifier, as in BERT's own."""
POOLINGS: dict[str, Callable[[], Pooler]] = {
    "MaxSeq-MHA": partial(MaxSeqAttend, WIDTH),
    "MHA": partial(ClsAttend, WIDTH),
    "MaxCLS": MaxCls,
    "class token": Cls,
}


class Part(NamedTuple):
    """States of sentences below the layers that are tuned, and their kinds (B,)."""

    states: Frozen
    kinds: Tensor


class Tuned(nn.Module):
    """Packed states (M, 384) of a lower layer -> logits (B, kinds), by the layers above, a pooling and a classifier."""

    def __init__(self, layers: nn.ModuleList, pooling: Pooler, kinds: int) -> None:
        super().__init__()
        self.layers, self.pooling = copy.deepcopy(layers), pooling
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(WIDTH, kinds))

    def states(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, L, N, D): the states given, and those after each layer."""
        found = [x]
        for layer in self.layers:
            x = layer(x, mask[:, None, None])
            found.append(x)
        return torch.stack(found, 1)

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the logits."""
        x, mask = unpacked(x, offsets)
        states = self.states(x, mask)
        logits: Tensor = self.classify(self.pooling(states if self.pooling.reads_layers else states[:, -1], mask))
        return logits


def check(data: Path) -> Finding:
    """Compare the three ways to the vector of a sentence with the plain first token, on two tasks."""
    layers = upper_layers()
    runs, beside = {}, {}
    for task in TASKS:
        parts = examples(data, task)
        train = partial(trial, parts, layers)
        runs[task] = {name: tuned(partial(train, make), RATES, SEEDS) for name, make in POOLINGS.items()}
        beside[task] = [
            one
            for name in POOLINGS
            if name != "class token"
            for one in differences(runs[task], name, "class token", _data(task), "accuracy")
        ]
    shown = together([shows(each[:2]) for each in beside.values()])
    told = [
        f"{spread(each[0], 3)} on {task} ({runs[task]['class token'].scores.mean():.3f}; MHA alone "
        f"{spread(each[2], 3)}, MaxCLS {spread(each[4], 3)})"
        for task, each in beside.items()
    ]
    return Finding(
        claim="An attention of the first token over the greatest values of the last three layers classifies better "
        "than the first token of the last layer, where examples are few.",
        holds=shown,
        verdict=f"That it classifies better on both tasks {word(shown)}: beside the class token, accuracy is "
        f"{' and '.join(told)}.",
        baseline="the class token of the last layer, tuned alike",
        seeds=SEEDS,
        note=needed(shown, [one for each in beside.values() for one in each[:2]], SEEDS),
        figures=tuple(one for task in TASKS for one in (*scores(runs[task], _data(task), "accuracy"), *beside[task])),
    )


def _data(task: str) -> str:
    return f"{task}, up to {WORDS} words, {' / '.join(map(str, SIZES))}"


def upper_layers() -> nn.ModuleList:
    """Return the layers of MiniLM that are tuned."""
    layers: nn.ModuleList = BertModel.from_pretrained(PACKAGED["minilm"].find()).encoder.layer[FROZEN:]
    return layers


def examples(data: Path, task: str) -> list[Part]:
    """Return train, dev and test of a task; dev and train are drawn from what is published as train."""
    columns = [table(data / task / f"{split}.tsv", ("text", TASKS[task])) for split in ("train", "test")]
    short = [[pair for pair in zip(*each, strict=True) if len(pair[0].split()) <= WORDS] for each in columns]
    known = {name: number for number, name in enumerate(sorted({name for _, name in short[0]}))}
    drawn = [short[0][row] for row in sample(len(short[0]), SIZES[0] + SIZES[1])]
    test = [short[1][row] for row in sample(len(short[1]), SIZES[2])]
    cut = (drawn[: SIZES[0]], drawn[SIZES[0] :], test)
    return [
        Part(frozen([text for text, _ in part], layer=FROZEN), torch.tensor([known[name] for _, name in part]))
        for part in cut
    ]


def trial(parts: list[Part], layers: nn.ModuleList, make: Callable[[], Pooler], seed: int, rate: float) -> Trial:
    """Tune layers, pooling and classifier; the units are the test sentences."""
    torch.manual_seed(seed)
    train, dev, test = parts
    model = Tuned(layers, make(), int(train.kinds.max()) + 1)

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(model(*train.states.take(rows)), train.kinds[rows])

    def right(part: Part) -> Float64:
        # sentences of like length together, so that little padding is computed
        order = part.states.offsets.diff().argsort()
        found = torch.zeros(len(order))
        for rows in torch.split(order, 50):
            found[rows] = (model(*part.states.take(rows)).argmax(1) == part.kinds[rows]).float()
        units: Float64 = found.double().numpy()
        return units

    learn = partial(fit, model, loss, lambda: float(right(dev).mean()), len(train.kinds), checks=2)
    best = learn(rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        units = right(test)
    return Trial(best, float(units.mean()), units)
