"""Dynamic k-max pooling classifies sentences better than their words in a bag, and better than one maximum.

Kalchbrenner, Grefenstette & Blunsom, "A convolutional neural network for modelling sentences" (1404.2188). There four
tasks; here questions of six kinds and sentences of two sentiments, whose word vectors begin at random, as there. Adam
and dropout stand for Adagrad and a penalty on weights. Eight seeds, set beforehand: the spread of three asked
for seven.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.finding import Figure, Finding
from cenote.claims.training import (
    Float64,
    Runs,
    Trial,
    differences,
    fit,
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
from cenote.pool.dcnn import DCNN

RATES, SEEDS, STEPS, BATCH = (3e-3, 1e-2, 3e-2, 1e-1), 8, 300, 50
DIM, WINDOW, FEATURES, DROPOUT = 32, 6, 100, 0.5
"""Width of a word's vector; words of a window and features of the network that takes one maximum."""
BASELINES = ("bag of words", "Max-TDNN")


class Sentences(NamedTuple):
    """Words (B, N), 0 behind the last, mask (B, N) and classes (B,)."""

    words: Tensor
    mask: Tensor
    labels: Tensor


class BagOfWords(nn.Module):
    """Words (B, N), mask -> logits: the sum of the words' vectors, bent, and a linear layer."""

    def __init__(self, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.words, self.bias = nn.Embedding(vocabulary, DIM), nn.Parameter(torch.zeros(DIM))
        nn.init.normal_(self.words.weight, std=0.25)
        self.classify = nn.Linear(DIM, classes)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return (B, classes)."""
        total = (self.words(words) * mask[:, :, None]).sum(1)
        logits: Tensor = self.classify((total + self.bias).tanh())
        return logits


class MaxTDNN(nn.Module):
    """Words (B, N), mask -> logits: features of every window of words, the greatest of each, and a linear layer.

    Collobert & Weston, "A unified architecture for natural language processing" (2008), with windows that reach over
    both ends of the sentence.
    """

    def __init__(self, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, DIM)
        nn.init.normal_(self.words.weight, std=0.25)
        self.convolve = nn.Conv1d(DIM, FEATURES, WINDOW, padding=WINDOW - 1)
        self.classify = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(FEATURES, classes))

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return (B, classes)."""
        found = self.convolve((self.words(words) * mask[:, :, None]).mT)
        reached = torch.arange(found.shape[2]) < mask.sum(1, keepdim=True) + WINDOW - 1
        greatest = found.masked_fill(~reached[:, None], -torch.inf).amax(2)
        logits: Tensor = self.classify(greatest.tanh())
        return logits


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "DCNN": partial(DCNN, dim=DIM, dropout=DROPOUT),
    "DCNN of one maximum": partial(DCNN, dim=DIM, dropout=DROPOUT, k_top=1),
    "bag of words": BagOfWords,
    "Max-TDNN": MaxTDNN,
}


def check(data: Path) -> Finding:
    """Compare the network with a bag of words, with one maximum over time, and with itself where it keeps one value."""
    tasks = {"trec, 6 kinds": questions(data), "sst2, 2 sentiments": sentiments(data)}
    runs: dict[str, dict[str, Runs]] = {}
    beside: dict[str, list[Figure]] = {}
    for task, (vocabulary, parts) in tasks.items():
        runs[task] = {name: tuned(partial(trial, vocabulary, parts, name), RATES, SEEDS) for name in NETWORKS}
        beside[task] = [
            one
            for name in (*BASELINES, "DCNN of one maximum")
            for one in differences(runs[task], "DCNN", name, task, "accuracy")
        ]
    shown = {task: together([shows(each[:2]), shows(each[2:4])]) for task, each in beside.items()}
    told = [
        f"on {task} that it is better {word(shown[task])}: accuracy is {spread(each[0], 3)} beside a bag of words "
        f"({runs[task]['bag of words'].scores.mean():.3f}), {spread(each[2], 3)} beside one maximum over time "
        f"({runs[task]['Max-TDNN'].scores.mean():.3f}) and {spread(each[4], 3)} beside itself with one value a channel"
        for task, each in beside.items()
    ]
    return Finding(
        claim="A network of wide convolutions and dynamic k-max pooling classifies sentences better than a bag of "
        "words and than a network that takes one maximum over time.",
        holds=together([*shown.values()]),
        verdict=f"{'; '.join(told)}.".replace("on trec", "On trec", 1),
        baseline="the sum of the words' vectors, and one convolution with its maximum over time",
        seeds=SEEDS,
        note=needed(together([*shown.values()]), [one for each in beside.values() for one in each[:4]], SEEDS),
        figures=tuple(one for task in tasks for one in (*scores(runs[task], task, "accuracy"), *beside[task])),
    )


def questions(data: Path) -> tuple[int, list[Sentences]]:
    """Return the size of the vocabulary, and train, dev (500 of what is published as train) and test."""
    train, test = (table(data / "trec" / f"{split}.tsv", ("text", "coarse")) for split in ("train", "test"))
    order = sample(len(train[0]), len(train[0])).tolist()
    cut = [[[column[row] for row in rows] for column in train] for rows in (order[500:], order[:500])]
    return numbered([*cut, test])


def sentiments(data: Path) -> tuple[int, list[Sentences]]:
    """Return the size of the vocabulary, and train, dev and test as they are published."""
    return numbered([table(data / "sst2" / f"{split}.tsv", ("text", "label")) for split in ("train", "dev", "test")])


def numbered(parts: list[list[list[str]]]) -> tuple[int, list[Sentences]]:
    """Return the size of the vocabulary and, with numbers for words and classes, parts of texts and class names.

    A word is known that the first part has twice; all others share a number.
    """
    counts = Counter(each for text in parts[0][0] for each in text.lower().split())
    known = {each: number for number, each in enumerate(sorted(counts, key=lambda one: (-counts[one], one)), 2)}
    known = {each: number for each, number in known.items() if counts[each] > 1}
    classes = {name: number for number, name in enumerate(sorted(set(parts[0][1])))}
    found = []
    for texts, names in parts:
        rows = [[known.get(each, 1) for each in text.lower().split()] for text in texts]
        words = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for row, numbers in enumerate(rows):
            words[row, : len(numbers)] = torch.tensor(numbers)
        found.append(Sentences(words, words > 0, torch.tensor([classes[name] for name in names])))
    return len(known) + 2, found


def trial(vocabulary: int, parts: list[Sentences], name: str, seed: int, rate: float) -> Trial:
    """Train a network from word vectors at random; the units are the test sentences."""
    torch.manual_seed(seed)
    train, dev, test = parts
    model = NETWORKS[name](vocabulary, int(train.labels.max()) + 1)

    def logits(part: Sentences, rows: Tensor) -> Tensor:
        longest = int(part.mask[rows].sum(1).max())
        found: Tensor = model(part.words[rows, :longest], part.mask[rows, :longest])
        return found

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(logits(train, rows), train.labels[rows])

    def right(part: Sentences) -> Float64:
        # sentences of like length together, so that padding costs little
        order = part.mask.sum(1).argsort()
        found = torch.cat([logits(part, rows).argmax(1) for rows in torch.split(order, 100)])
        hit: Float64 = (found == part.labels[order])[order.argsort()].double().numpy()
        return hit

    best = fit(
        model, loss, lambda: float(right(dev).mean()), len(train.labels), rate=rate, steps=STEPS, batch=BATCH, seed=seed
    )
    with torch.inference_mode():
        units = right(test)
    return Trial(best, float(np.mean(units)), units)
