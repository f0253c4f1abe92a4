"""Learned queries over all layers embed better than over the last one and than its mean, for likeness and retrieval.

Tang & Yang, "Pooling and attention: what are effective designs for LLM-based embedding models?" (2409.02727). There
Mistral-7B, tuned on triplets, whose last token is the baseline; here MiniLM, whose states stay as they are, and
poolings trained on the like pairs of STS-B's training part, the others of a batch as negatives. MiniLM was made for the
mean of its last layer, which no decoder is.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.finding import Finding
from cenote.claims.recurrent_pooling_mined_paraphrases import Mapped, spearman
from cenote.claims.training import (
    Float64,
    Frozen,
    Runs,
    Trial,
    differences,
    fit,
    sample,
    scores,
    shows,
    spread,
    table,
    together,
    tuned,
    word,
)
from cenote.encode.encoder import Encoder
from cenote.kernels.segments import segment_mean
from cenote.pool.latent_queries import LatentQueries
from cenote.pool.mean import Mean
from cenote.pool.multi_layer import MultiLayer

TASKS = {"stsb": "Spearman", "capretrieval-en": "nDCG@10", "banking77": "accuracy"}
RATES, SEEDS, STEPS, BATCH, SCALE = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3), 4, 100, 32, 20.0
"""The last is what cosines are multiplied by."""
LIKE, DEV, TEST, QUERIES, DOCUMENTS, INTENTS = 4.0, 300, 1000, 150, 1000, (1000, 500)
"""Score from which a pair of STS-B is a like one, and how much is drawn of each part."""
WIDTH, LAYERS, LATENTS = 384, 6, 8
"""Of MiniLM, and how many queries are learned; the feed-forward part is as wide as the tokens."""
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "all layers": partial(MultiLayer, WIDTH, LAYERS, LATENTS, ff_mult=1),
    "last layer": partial(LatentQueries, WIDTH, LATENTS, ff_mult=1),
    "mean, mapped": Mapped,
}


class Texts(NamedTuple):
    """The states of texts after the last layer, and (B, L, D) their mean after each, which is all MultiLayer reads."""

    last: Frozen
    means: Tensor


class Data(NamedTuple):
    """Like pairs; dev and test pairs with gold scores; queries, documents and gains (Q, D); intents, known and new."""

    like: tuple[Texts, Texts]
    dev: tuple[Texts, Texts, Float64]
    test: tuple[Texts, Texts, Float64]
    captions: tuple[Texts, Texts, Tensor]
    intents: tuple[Texts, Tensor, Texts, Tensor]


def check(data: Path) -> Finding:
    """Compare queries over all layers with queries over the last, and with its mean, mapped and as it is."""
    texts = gathered(data)
    runs = {name: tuned(partial(trial, texts, make), RATES, SEEDS) for name, make in POOLINGS.items()}
    untouched = measured(texts, Mean())
    runs["mean, as it is"] = Runs(0.0, np.zeros(SEEDS), np.tile(untouched, (SEEDS, 1)))
    cut = {task: {name: _of(one, number) for name, one in runs.items()} for number, task in enumerate(TASKS)}
    beside = {
        task: [
            one
            for baseline in ("last layer", "mean, mapped", "mean, as it is")
            for one in differences(each, "all layers", baseline, task, TASKS[task])
        ]
        for task, each in cut.items()
    }
    shown = {task: together([shows(each[:2]), shows(each[2:4])]) for task, each in beside.items()}
    told = [
        f"on {task} {word(shown[task])} ({TASKS[task]} {spread(each[0], 3)} beside the last layer, "
        f"{cut[task]['last layer'].scores.mean():.3f}, {spread(each[2], 3)} beside a mapped mean and "
        f"{spread(each[4], 3)} beside the mean as it is)"
        for task, each in beside.items()
    ]
    return Finding(
        claim="Learned queries over the means of all layers embed better than what the last layer alone gives, for "
        "likeness and for retrieval; not for classification.",
        holds=together([shown["stsb"], shown["capretrieval-en"]]),
        verdict=f"That queries over all layers embed better {'; '.join(told)}.",
        baseline="the same queries over the last layer, and its mean with a linear map, trained on the same pairs",
        seeds=SEEDS,
        figures=tuple(one for task in TASKS for one in (*scores(cut[task], task, TASKS[task]), *beside[task])),
    )


def gathered(data: Path) -> Data:
    """Return everything that is trained with and asked for; no like pair holds a sentence of dev or test."""
    dev, test = (_pairs(data, split, size) for split, size in (("dev", DEV), ("test", TEST)))
    held_out = {text for part in (dev, test) for row in part for text in row[:2]}
    like = [row for row in _pairs(data, "train", 10_000) if float(row[2]) >= LIKE and not held_out & {*row[:2]}]
    encode = partial(encoded, Encoder("minilm", dtype="fp32"))

    def sides(pairs: list[list[str]]) -> tuple[Texts, Texts]:
        return encode([pair[0] for pair in pairs]), encode([pair[1] for pair in pairs])

    def gold(pairs: list[list[str]]) -> Float64:
        return np.array([float(pair[2]) for pair in pairs])

    queries, documents, gains = captions(data / "capretrieval-en")
    (known, kinds), (new, wanted) = intents(data / "banking77")
    return Data(
        like=sides(like),
        dev=(*sides(dev), gold(dev)),
        test=(*sides(test), gold(test)),
        captions=(encode(queries), encode(documents), gains),
        intents=(encode(known), kinds, encode(new), wanted),
    )


def encoded(encoder: Encoder, texts: Sequence[str]) -> Texts:
    """Encode texts once."""
    last, means = [torch.zeros(0)] * len(texts), torch.zeros(len(texts), LAYERS, WIDTH)
    for states in encoder.states(texts, layers=range(1, LAYERS + 1)):
        rows = torch.from_numpy(states.rows)
        means[rows] = torch.stack([segment_mean(states.layers[n], states.offsets) for n in range(1, LAYERS + 1)], 1)
        for row, x in zip(states.rows, torch.split(states.layers[LAYERS], states.offsets.diff().tolist()), strict=True):
            last[row] = x.clone()
    offsets = torch.tensor([0, *(len(x) for x in last)]).cumsum(0)
    return Texts(Frozen(torch.cat(last), offsets), means)


def captions(folder: Path) -> tuple[list[str], list[str], Tensor]:
    """Return some queries, documents with all that are judged for these, and the grades (Q, D)."""
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        corpus = {row["_id"]: row["text"] for row in map(json.loads, lines)}
    asked = {
        row["_id"]: row["text"] for row in map(json.loads, (folder / "queries.jsonl").read_text("utf-8").splitlines())
    }
    judged = [*zip(*table(folder / "qrels" / "test.tsv", ("query-id", "corpus-id", "score")), strict=True)]
    answered = sorted({query for query, _, grade in judged if int(grade) > 0})
    queries = [answered[row] for row in sample(len(answered), QUERIES)]
    needed = {document for query, document, _ in judged if query in set(queries)}
    others = sorted(corpus.keys() - needed)
    documents = [*sorted(needed), *(others[row] for row in sample(len(others), max(DOCUMENTS - len(needed), 0)))]
    gains = torch.zeros(len(queries), len(documents))
    for query, document, grade in judged:
        if query in set(queries):
            gains[queries.index(query), documents.index(document)] = int(grade)
    return [asked[one] for one in queries], [corpus[one] for one in documents], gains


def intents(folder: Path) -> list[tuple[list[str], Tensor]]:
    """Return texts and the numbers of their intents, drawn from what is published as train and as test."""
    found: list[tuple[list[str], Tensor]] = []
    known = {name: number for number, name in enumerate(sorted(json.loads((folder / "categories.json").read_text())))}
    for split, size in zip(("train", "test"), INTENTS, strict=True):
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        drawn = [rows[row] for row in sample(len(rows), size)]
        found.append(([row["text"] for row in drawn], torch.tensor([known[row["category"]] for row in drawn])))
    return found


def trial(texts: Data, make: Callable[[], nn.Module], seed: int, rate: float) -> Trial:
    """Train on like pairs; the rate is chosen by the correlation on dev. The units are those of `measured`."""
    torch.manual_seed(seed)
    pooling, (first, second) = make(), texts.like

    def loss(rows: Tensor) -> Tensor:
        cosines = vectors(pooling, first, rows) @ vectors(pooling, second, rows).T
        return F.cross_entropy(SCALE * cosines, torch.arange(len(rows)))

    def on_dev() -> float:
        return spearman(_cosines(pooling, *texts.dev[:2]), texts.dev[2])

    best = fit(pooling, loss, on_dev, len(first.means), rate=rate, steps=STEPS, batch=BATCH, seed=seed, checks=4)
    with torch.inference_mode():
        units = measured(texts, pooling)
    return Trial(best, float(units[: len(texts.test[2])].mean()), units)


def measured(texts: Data, pooling: nn.Module) -> Float64:
    """Return the units of the three tasks: shares of the correlation, nDCG@10 of queries, intents that are right."""
    shares = correlated(_cosines(pooling, *texts.test[:2]), texts.test[2])
    queries, documents, gains = texts.captions
    gained = ndcg(vectors(pooling, queries) @ vectors(pooling, documents).T, gains)
    known, kinds, new, wanted = texts.intents
    centres = F.one_hot(kinds).float().T @ vectors(pooling, known)
    right = (vectors(pooling, new) @ F.normalize(centres, dim=1).T).argmax(1) == wanted
    return np.concatenate([shares, gained, right.double().numpy()])


def vectors(pooling: nn.Module, texts: Texts, rows: Tensor | None = None) -> Tensor:
    """Return unit vectors (R, 384) of some texts, or all."""
    if rows is None:
        # texts of like length together, so that little padding is computed
        order = texts.last.offsets.diff().argsort()
        return torch.cat([vectors(pooling, texts, part) for part in torch.split(order, 100)])[order.argsort()]
    if isinstance(pooling, MultiLayer):
        # a row of one token that is the mean
        x, offsets = texts.means[rows].transpose(0, 1), torch.arange(len(rows) + 1)
    else:
        x, offsets = texts.last.take(rows)
    return F.normalize(pooling.forward_packed(x, offsets), dim=1)  # type: ignore[operator]


def correlated(found: Float64, gold: Float64) -> Float64:
    """Return (n,): what each pair adds to Spearman's correlation, which is their mean.

    r + z w - r - r/2 (z^2 + w^2 - 2) with z and w the ranks, standardised: the influence of a pair on a correlation.
    """
    z, w = ((ranks - ranks.mean()) / ranks.std() for ranks in (rankdata(found), rankdata(gold)))
    shares: Float64 = z * w - (z * w).mean() / 2 * (z**2 + w**2 - 2)
    return shares


def ndcg(found: Tensor, gains: Tensor, k: int = 10) -> Float64:
    """Return (Q,): nDCG@k of scores (Q, D), with gains as they are and the logarithm's discount."""
    discount = 1 / torch.arange(2, k + 2).log2()
    reached = gains.gather(1, found.topk(k).indices) @ discount
    shares: Float64 = (reached / (gains.topk(k).values @ discount)).double().numpy()
    return shares


def _cosines(pooling: nn.Module, first: Texts, second: Texts) -> Float64:
    found: Float64 = (vectors(pooling, first) * vectors(pooling, second)).sum(1).double().numpy()
    return found


def _of(runs: Runs, task: int) -> Runs:
    assert runs.units is not None
    units = np.split(runs.units, np.cumsum([TEST, QUERIES]), axis=1)[task]
    return replace(runs, scores=units.mean(1), units=units)


def _pairs(data: Path, split: str, size: int) -> list[list[str]]:
    with (data / "stsb" / f"stsb-en-{split}.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines) if row]
    return [rows[row] for row in sample(len(rows), size)]
