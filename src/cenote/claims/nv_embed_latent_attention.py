"""Latent attention makes better vectors than the mean or the last token; classes are learned better without the batch.

Lee et al., "NV-Embed: improved techniques for training LLMs as generalist embedding models" (2405.17428). There a model
of seven billion weights, tuned whole on retrieval and then on everything; here MiniLM, whose states stay as they are
and which its makers trained with the other texts of a batch as negatives. Poolings are tuned on the paraphrases of
STS-B; a map behind the mean is tuned on 77 intents, with the batch's other texts as negatives and without.
Eight seeds, as the spread of three asked for about six, and all test texts, as half of them left the second part open.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.finding import Figure, Finding
from cenote.claims.recurrent_pooling_mined_paraphrases import Pairs, spearman
from cenote.claims.recurrent_pooling_mined_paraphrases import trial as on_pairs
from cenote.claims.training import (
    Float64,
    Runs,
    Trial,
    differences,
    figure,
    fit,
    frozen,
    needed,
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
from cenote.pool.base import Pooler
from cenote.pool.last import Last
from cenote.pool.latent_attention import LatentAttention
from cenote.pool.mean import Mean

WIDTH, SEEDS, ALIKE, DEV_PAIRS = 384, 8, 4.0, 500
"""STS-B's pairs of this score or more are paraphrases."""
RATES = {"pairs": (1e-4, 3e-4, 1e-3, 3e-3), "intents": (3e-4, 1e-3, 3e-3, 1e-2)}
INTENTS, STEPS, BATCH = (2000, 500, 3080), 100, 64
NEAREST, NEGATIVES, SCALE = 20, 4, 20.0
"""Texts that hard negatives are drawn from, how many a text has, and what cosines are multiplied by."""
PAIRS, CLASSES = "stsb", "banking77, 2,000 / 500 of train, 3,080"


class Mapped(nn.Module):
    """A pooling and a linear map that begins as the identity."""

    def __init__(self, pooling: Callable[[], Pooler]) -> None:
        super().__init__()
        self.pooling, self.map = pooling(), nn.Linear(WIDTH, WIDTH, bias=False)
        nn.init.eye_(self.map.weight)

    def forward_packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Pool and map."""
        mapped: Tensor = self.map(self.pooling.forward_packed(x, offsets))
        return mapped


POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "latent attention": partial(LatentAttention, WIDTH, latents=64, heads=8, ff_mult=1),
    "mean": partial(Mapped, Mean),
    "last token": partial(Mapped, Last),
}


class Intents(NamedTuple):
    """Means of the tokens x (B, 384), which intent each is of, and the nearest of other intents (B, 20)."""

    x: Tensor
    labels: Tensor
    hard: Tensor


def check(data: Path) -> Finding:
    """Compare poolings on pairs, and negatives on intents."""
    pairs = paraphrases(data)
    runs = {name: tuned(partial(on_pairs, pairs, make), RATES["pairs"], SEEDS) for name, make in POOLINGS.items()}
    beside = [one for name in ("mean", "last token") for one in _differences(runs, name, pairs[2].gold)]
    parts = intents(data)
    ways = {
        name: tuned(partial(trial, parts, batch), RATES["intents"], SEEDS)
        for name, batch in (("without the batch", False), ("with the batch", True))
    }
    without = differences(ways, "without the batch", "with the batch", CLASSES, "accuracy")
    shown = together([shows(beside[:2]), shows(beside[2:])]), shows(without)
    return Finding(
        claim="Latent attention makes better vectors than the mean and than the last token; and tuning on classes is "
        "better without the other texts of the batch as negatives.",
        holds=together(shown),
        verdict=f"That latent attention is better {word(shown[0])}: Spearman's correlation is {spread(beside[0], 3)} "
        f"beside the mean ({runs['mean'].scores.mean():.3f}) and {spread(beside[2], 3)} beside the last token "
        f"({runs['last token'].scores.mean():.3f}). That intents are learned better without the batch's negatives "
        f"{word(shown[1])}: accuracy is {spread(without[0], 3)} beside {ways['with the batch'].scores.mean():.3f}.",
        baseline="the mean and the last token of the same states, each with a linear map tuned on the same pairs; and "
        "the same tuning with the batch as negatives",
        seeds=SEEDS,
        note=needed(together(shown), [*beside, *without], SEEDS),
        figures=(
            *(*scores(runs, PAIRS, "Spearman"), *beside),
            *(*scores(ways, CLASSES, "accuracy"), *without),
        ),
    )


def paraphrases(data: Path) -> list[Pairs]:
    """Return the pairs of train that are alike, pairs of dev, and test."""
    found = []
    for split in ("train", "dev", "test"):
        with (data / "stsb" / f"stsb-en-{split}.csv").open(encoding="utf-8", newline="") as lines:
            rows = [(first, second, float(gold)) for first, second, gold in csv.reader(lines)]
        if split == "train":
            rows = [row for row in rows if row[2] >= ALIKE]
        elif split == "dev":
            rows = [rows[row] for row in sample(len(rows), DEV_PAIRS)]
        first, second, gold = zip(*rows, strict=True)
        found.append(Pairs(frozen(first), frozen(second), np.array(gold)))
    return found


def intents(data: Path) -> list[Intents]:
    """Return train, dev and test; dev and train are drawn from what is published as train."""
    rows = []
    for split in ("train", "test"):
        with (data / "banking77" / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
            rows.append([(row["text"], row["category"]) for row in csv.DictReader(lines)])
    numbers = {name: number for number, name in enumerate(sorted({name for _, name in rows[0]}))}
    drawn = [rows[0][row] for row in sample(len(rows[0]), INTENTS[0] + INTENTS[1])]
    asked = [rows[1][row] for row in sample(len(rows[1]), INTENTS[2])]
    found = []
    for part in (drawn[: INTENTS[0]], drawn[INTENTS[0] :], asked):
        x = frozen([text for text, _ in part]).pooled(Mean())
        found.append(_with_hard(x, torch.tensor([numbers[name] for _, name in part])))
    return found


def _with_hard(x: Tensor, labels: Tensor) -> Intents:
    unit = F.normalize(x, dim=1)
    other = (unit @ unit.T).masked_fill(labels[:, None] == labels, -torch.inf)
    return Intents(x, labels, other.topk(NEAREST, dim=1).indices)


def contrast(anchors: Tensor, positives: Tensor, negatives: Tensor, *, batch: bool) -> Tensor:
    """Return the loss of unit vectors (B, D) with a positive (B, D) and hard negatives (B, K, D) each.

    batch: whether the positives of the others in the batch are negatives too, of which some are of the same class.
    """
    own = (anchors * positives).sum(1, keepdim=True)
    score = [own, torch.einsum("bd,bkd->bk", anchors, negatives)]
    if batch:
        others = anchors @ positives.T
        score.append(others.masked_fill(torch.eye(len(others), dtype=torch.bool), -torch.inf))
    return F.cross_entropy(SCALE * torch.cat(score, 1), torch.zeros(len(own), dtype=torch.int64))


def trial(parts: list[Intents], batch: bool, seed: int, rate: float) -> Trial:
    """Tune a map on texts of the same intent; the units are the test texts, right where the nearest of train is."""
    generator = torch.Generator().manual_seed(seed)
    train, dev, test = parts
    model = nn.Linear(WIDTH, WIDTH, bias=False)
    nn.init.eye_(model.weight)

    def unit(x: Tensor) -> Tensor:
        return F.normalize(model(x), dim=-1)

    def loss(rows: Tensor) -> Tensor:
        same = (train.labels[rows][:, None] == train.labels).double()
        same[torch.arange(len(rows)), rows] = 1e-9  # a text alone of its intent is its own positive
        positives = torch.multinomial(same, 1, generator=generator)[:, 0]
        drawn = torch.randint(NEAREST, (len(rows), NEGATIVES), generator=generator)
        negatives = train.hard[rows].gather(1, drawn)
        return contrast(unit(train.x[rows]), unit(train.x[positives]), unit(train.x[negatives]), batch=batch)

    def right(part: Intents) -> Float64:
        nearest = (unit(part.x) @ unit(train.x).T).argmax(1)
        found: Float64 = (train.labels[nearest] == part.labels).double().numpy()
        return found

    def on_dev() -> float:
        return float(right(dev).mean())

    best = fit(model, loss, on_dev, len(train.x), rate=rate, steps=STEPS, batch=BATCH, seed=seed)
    with torch.inference_mode():
        units = right(test)
    return Trial(best, float(units.mean()), units)


def _differences(runs: dict[str, Runs], baseline: str, gold: Float64) -> list[Figure]:
    first, second = runs["latent attention"], runs[baseline]
    assert first.units is not None
    assert second.units is not None

    def score(cosines: Float64, rows: NDArray[np.int64]) -> float:
        return spearman(cosines[rows], gold[rows])

    name = f"Spearman: latent attention less {baseline}"
    return [
        figure(f"{name}, over seeds", PAIRS, over_seeds(first.scores - second.scores)),
        figure(f"{name}, over units", PAIRS, resampled(first.units, second.units, score)),
    ]
