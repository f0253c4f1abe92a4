"""Pooling over the words that connect two mentions in the dependency tree tells their relation best.

Nguyen, Dernoncourt & Nguyen, "On the effectiveness of the pooling methods for biomedical relation extraction with deep
learning" (1911.01055). There drugs and bacteria, and networks trained whole; here the nineteen relations of SemEval
2010, and MiniLM, whose states stay as they are: of its last layer, and its token embeddings, which know no context.
Trees come from a small parser, which is trained first, on the treebank LinES.
"""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.finding import Figure, Finding
from cenote.claims.parsing_words import Worded, attached, of_words, trained, treebank, trees, worded
from cenote.claims.training import (
    Float64,
    Runs,
    Trial,
    figure,
    fit,
    one_thread,
    over_seeds,
    resampled,
    sample,
    scores,
    shows,
    spread,
    together,
    tuned,
    word,
)
from cenote.pool.dependency import DependencyPool
from cenote.pool.entities import EntityPool
from cenote.pool.entity_sentence import EntitySentencePool
from cenote.pool.mentions import Mentions
from cenote.pool.piecewise import PiecewisePool

LAYERS, SYNTAX = {"last layer": 6, "token embeddings": 0}, 4
"""What relations are read from, and the middle layer that trees are read from."""
PARTS, TREES = (2000, 600, 1500), (1500, 300)
"""Sentences of train, dev and test; those of the treebank that the parser learns from and is measured on."""
RATES, SEEDS, STEPS, BATCH, HIDDEN, DROPOUT = (3e-4, 1e-3, 3e-3, 1e-2), 5, 250, 64, 128, 0.3
OTHER = "Other"
POOLINGS: dict[str, Mentions] = {
    "path": DependencyPool(0),
    "path and its neighbours": DependencyPool(1),
    "mentions": EntityPool(),
    "mentions and sentence": EntitySentencePool(),
    "mentions and pieces": PiecewisePool(),
}
BASELINES = ("mentions", "mentions and sentence", "mentions and pieces")
Int64 = NDArray[np.int64]


class Relations:
    """Sentences as words, spans of two mentions int64 (B, 2, 2), half-open, and names of relations."""

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.sentences: list[list[str]] = [[str(one) for one in list(row["token"])] for row in rows]  # type: ignore[call-overload]
        names = (("subj_start", "subj_end"), ("obj_start", "obj_end"))
        self.spans = torch.tensor([[[int(str(row[a])), int(str(row[b])) + 1] for a, b in names] for row in rows])
        self.names = [str(row["relation"]) for row in rows]


def check(data: Path) -> Finding:
    """Compare pooling over the path with pooling over the mentions, with the sentence, and with its pieces."""
    parts = relations(data)
    known = sorted({name for part in parts for name in part.names})
    labels = [torch.tensor([known.index(name) for name in part.names]) for part in parts]
    with one_thread():
        parse, right = parser(data)
        states = [worded(part.sentences, (*LAYERS.values(), SYNTAX)) for part in parts]
        heads = [parse(one) for one in states]
    runs: dict[str, dict[str, Runs]] = {}
    beside: dict[str, list[Figure]] = {}
    for layer, number in LAYERS.items():
        task = f"semeval2010-task8, {layer}"
        features = {
            name: [pooled(pooling, *each, number) for each in zip(states, parts, heads, strict=True)]
            for name, pooling in POOLINGS.items()
        }
        runs[task] = {
            name: tuned(partial(trial, features[name], labels, known), RATES, SEEDS, sweep=2) for name in POOLINGS
        }
        beside[task] = [
            one
            for method in ("path", "path and its neighbours")
            for name in BASELINES
            for one in _differences(runs[task], method, name, task, labels[2].numpy(), known)
        ]
    return _finding(runs, beside, right)


def _finding(runs: dict[str, dict[str, Runs]], beside: dict[str, list[Figure]], right: float) -> Finding:
    shown = {task: together([shows(each[at : at + 2]) for at in (0, 2, 4)]) for task, each in beside.items()}
    told = []
    for task, each in beside.items():
        rest = ", ".join(
            f"{spread(each[2 * at], 3)} beside {name} ({runs[task][name].scores.mean():.3f})"
            for at, name in enumerate(BASELINES)
        )
        wider = runs[task]["path and its neighbours"].scores.mean()
        told.append(f"on the {task.split(', ')[1]} {word(shown[task])}: F1 is {rest}; with neighbours {wider:.3f}")
    parsed = Figure("words joined to their head by the parser", "ud-english-lines, dev", round(right, 4))
    return Finding(
        claim="The greatest values over two mentions and the dependency path between them tell their relation better "
        "than those over the mentions alone, with the sentence, or with the pieces that the mentions cut.",
        holds=together([*shown.values()]),
        verdict=f"That the path is the best {'; '.join(told)}. The trees are those of a parser that joins {right:.0%} "
        "of the words to their head.",
        baseline="maxima over the mentions alone, with the whole sentence, and with its three pieces",
        seeds=SEEDS,
        figures=(parsed, *(one for task in runs for one in (*scores(runs[task], task, "F1"), *beside[task]))),
    )


def relations(data: Path) -> list[Relations]:
    """Return train, dev and test; dev and train are drawn from what is published as train."""
    read = []
    for split in ("train", "test"):
        with gzip.open(data / "semeval2010-task8" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            read.append([json.loads(line) for line in lines])
    drawn, asked = sample(len(read[0]), PARTS[0] + PARTS[1]).tolist(), sample(len(read[1]), PARTS[2]).tolist()
    rows = [
        *([read[0][row] for row in part] for part in (drawn[: PARTS[0]], drawn[PARTS[0] :])),
        [read[1][row] for row in asked],
    ]
    return [Relations(part) for part in rows]


class Parse:
    """States of sentences -> heads (B, W), by a parser that is trained."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, states: Worded) -> Tensor:
        """Read trees from the middle layer."""
        x, mask = of_words(states, SYNTAX)
        with torch.inference_mode():
            found = [
                trees(self.model(*each), each[1])
                for each in zip(torch.split(x, 100), torch.split(mask, 100), strict=True)
            ]
        return torch.cat(found)


def parser(data: Path) -> tuple[Parse, float]:
    """Train a parser on the treebank; return it and the share of words that it joins to their head on dev."""
    (sentences, heads), (asked, wanted) = (
        treebank(data, split, most) for split, most in zip(("train", "dev"), TREES, strict=True)
    )
    x, mask = of_words(worded(sentences, (SYNTAX,)), SYNTAX)
    parse = Parse(trained(x, mask, heads))
    return parse, attached(parse(worded(asked, (SYNTAX,))), wanted)


def pooled(pooling: Mentions, states: Worded, part: Relations, heads: Tensor, layer: int) -> Tensor:
    """Return (B, K 384): what a pooling makes of one layer's states."""
    side = {"words": states.words, "spans": part.spans} | ({"heads": heads} if "heads" in pooling.side else {})
    return pooling.forward_packed(states.layers[layer], states.offsets, side=side)


def trial(features: list[Tensor], labels: list[Tensor], known: list[str], seed: int, rate: float) -> Trial:
    """Train a layer and a classifier on pooled states; the units are the relations found for the test sentences."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Linear(features[0].shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, len(known)))
    )

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(model(features[0][rows]), labels[0][rows])

    def score(part: int) -> float:
        return f1(model(features[part]).argmax(1).numpy(), labels[part].numpy(), known)

    best = fit(model, loss, lambda: score(1), len(labels[0]), rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        units = model(features[2]).argmax(1).double().numpy()
        return Trial(best, score(2), units)


def f1(found: Int64, gold: Int64, known: list[str]) -> float:
    """Return the F1 of SemEval 2010: the mean over relations but Other; both directions of one count together.

    A hit is a relation in its direction. found, gold (n,): numbers of names in `known`.
    """
    table = np.bincount(found * len(known) + gold, minlength=len(known) ** 2).reshape(len(known), len(known))
    kinds = np.array([name.split("(")[0] for name in known])
    each = []
    for kind in sorted(set(kinds) - {OTHER}):
        own = kinds == kind
        both = table[own].sum() + table[:, own].sum()
        each.append(2 * table.diagonal()[own].sum() / both if both else 0.0)
    return float(np.mean(each))


def _differences(
    runs: dict[str, Runs], method: str, baseline: str, task: str, gold: Int64, known: list[str]
) -> list[Figure]:
    first, second = runs[method], runs[baseline]
    assert first.units is not None
    assert second.units is not None

    def score(found: Float64, rows: Int64) -> float:
        return f1(found[rows].astype(np.int64), gold[rows], known)

    name = f"F1: {method} less {baseline}"
    return [
        figure(f"{name}, over seeds", task, over_seeds(first.scores - second.scores)),
        figure(f"{name}, over units", task, resampled(first.units, second.units, score)),
    ]
