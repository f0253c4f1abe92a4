"""Pooling: every pooler, forward alone and with its gradient, beside the mean and beside peers.

What is measured is told by NOTE, which stands with the tables.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.harness import Contest, Turn
from cenote import registry

NOTE = (
    "Rows hold from half to all of the tokens of the longest. The time of a pooler is that of the vectors of all "
    "rows; *with gradients* is the time of the vectors and of the gradients of their sum in the tokens and in the "
    "weights; ratios are against the mean. A peer stands behind what computes the same here, and *of cenote's* says "
    "how many times as long it takes: above 1 cenote is ahead. Peers without a mask pool what the mask leaves out "
    "too; of packed rows torch_geometric is told the row of every token beforehand, cenote where rows start, which it "
    "checks; what takes more than half a second is timed once. Of rows of 2,048 tokens three networks that take many "
    "seconds are left out: lp, latentattention and classtoken."
)
STATES = ((32, 128, 384), (8, 2048, 768))
MAPS = (64, 256, 14, 14)
LAYERS = 6
FIRST = "mean"
LONG_ENOUGH = 2e-2
"""Seconds: calls that take less are repeated within a turn, of which their median counts."""
TOO_LONG = 0.5
"""Seconds: what takes more is timed once, in the turn that warms up, so that all is done in a few minutes."""
TOO_LARGE = ("lp", "latentattention", "classtoken")
"""Left out of rows of 2,048 tokens, where a call takes many seconds: they are networks that read every token."""
NEEDED = {"layers": LAYERS, "latents": 32, "hidden": 128, "classes": 16, "groups": 8}
"""Arguments without a default that are no width."""

_seconds: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
"""Of every turn so far, by contest and contestant: without and with the gradient."""


def ours(contest: str, word: str, form: str, shape: list[int]) -> Turn:
    """A pooler of tokens, in one of the forms padded, packed and map."""
    torch.manual_seed(0)
    row = registry.find(word, ("pool",))
    needed = (p.name for p in registry.parameters(row.load()) if p.default is p.empty)
    pooler = registry.make(word, ("pool",), **{name: NEEDED.get(name, _width(form, shape)) for name in needed})
    x, mask, offsets = _drawn(form, tuple(shape), LAYERS if pooler.reads_layers else 0)
    given = {name: _SIDE[name](mask) for name in sorted(pooler.side)}
    if form == "packed":
        side = given | ({"words": given["words"][mask]} if "words" in given else {})
        return _turn(contest, word, pooler, lambda x: pooler.forward_packed(x, offsets, side=side), x)
    if form == "map":
        over = registry.make("over_space", ("adapter",), pooler=pooler)
        return _turn(contest, word, over, over, x)
    return _turn(contest, word, pooler, lambda x: pooler(x, mask, side=given), x)


def peer(contest: str, name: str, form: str, shape: list[int]) -> Turn:
    """What computes the same elsewhere."""
    torch.manual_seed(0)
    x, mask, offsets = _drawn(form, tuple(shape), 0)
    module, call = PEERS[form][name](_width(form, shape))
    rows = torch.repeat_interleave(offsets.diff())
    given = {"padded": (mask,), "packed": (rows, len(mask)), "map": ()}[form]
    return _turn(contest, name, module, lambda x: call(x, *given), x)


def window(contest: str, name: str, shape: list[int]) -> Turn:
    """A pooler of the windows of maps."""
    torch.manual_seed(0)
    x = _drawn("map", tuple(shape), 0)[0]
    module = WINDOWS[name]((shape[2] // 2, shape[3] // 2))
    return _turn(contest, name, module, module, x)


def _turn(contest: str, name: str, module: Any, pool: Callable[[Tensor], Tensor], x: Tensor) -> Turn:
    learned = list(module.parameters()) if isinstance(module, nn.Module) else []
    wanted = [x.clone().requires_grad_(), *(one for one in learned if one.requires_grad)]

    def forward() -> None:
        with torch.inference_mode():
            pool(x)

    def both() -> None:
        torch.autograd.grad(pool(wanted[0]).sum(), wanted, allow_unused=True)

    def turn() -> Mapping[str, float]:
        found = _seconds[contest, name]
        if not found:
            both()  # what is loaded and compiled on the first call is no time of a pooler's
        torch.ones(2**20).sum()  # torch's threads have slept since their last turn, and wake in milliseconds
        found.append(found[-1] if found and sum(found[-1]) > TOO_LONG else (_timed(forward), _timed(both)))
        out = {
            "_seconds": found[-1][0],
            "with gradients, ms": 1e3 * statistics.median(back for _, back in found[1:] or found),
        }
        if name != FIRST:
            out["with gradients, ratio"] = _ratio(contest, name, FIRST, 1)
        if (beside := _beside(name)) != name:
            out |= {
                "of cenote's": _ratio(contest, name, beside, 0),
                "of cenote's, with gradients": _ratio(contest, name, beside, 1),
            }
        return out

    return turn


def _beside(name: str) -> str:
    return name.partition(", ")[0]


def _ratio(contest: str, name: str, other: str, which: int) -> float:
    """Return the median over the turns of the time of one contestant over that of another."""
    turns = [(a[which], b[which]) for a, b in zip(_seconds[contest, name], _seconds[contest, other], strict=False)]
    return statistics.median(a / b for a, b in turns[1:] or turns)


def _timed(run: Callable[[], None]) -> float:
    calls: list[float] = []
    while sum(calls) < LONG_ENOUGH:
        start = time.perf_counter()
        run()
        calls.append(time.perf_counter() - start)
    return statistics.median(calls)


@cache
def _drawn(form: str, shape: tuple[int, ...], layers: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens, mask and offsets; of maps every cell is kept."""
    generator = torch.Generator().manual_seed(0)
    if form == "map":
        x, rows, tokens = torch.randn(shape, generator=generator), shape[0], math.prod(shape[2:])
        return x, torch.ones(rows, tokens, dtype=torch.bool), torch.arange(rows + 1) * tokens
    rows, tokens, width = shape
    lengths = torch.randint(tokens // 2, tokens + 1, (rows,), generator=generator)
    lengths[0] = tokens
    mask = torch.arange(tokens) < lengths[:, None]
    x = torch.randn(*(rows, layers, tokens, width) if layers else shape, generator=generator)
    if form == "packed":
        x = x.transpose(1, 2)[mask].transpose(0, 1).contiguous() if layers else x[mask]
    return x, mask, torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])


def _width(form: str, shape: list[int]) -> int:
    return shape[1] if form == "map" else shape[2]


_SIDE: dict[str, Callable[[Tensor], Tensor]] = {
    "words": lambda mask: (mask.cumsum(1) - 1).masked_fill(~mask, -1),
    "spans": lambda mask: torch.stack([torch.stack([n, n + 1], 1) for n in (0 * mask.sum(1), mask.sum(1) - 1)], 1),
    "heads": lambda mask: (
        ((torch.arange(mask.shape[1]) - 1).div(2, rounding_mode="floor")).expand(mask.shape)
        + (-2 - (torch.arange(mask.shape[1]) - 1).div(2, rounding_mode="floor")) * ~mask
    ),
}
"""Side inputs: a word a token, a mention at either end, and a tree."""

Made = tuple[Any, Callable[..., Tensor]]
"""A module, or None, and how it is called."""


def _modes(mode: str) -> Callable[[int], Made]:
    def made(width: int) -> Made:
        from sentence_transformers.sentence_transformer.modules import Pooling

        pooling = Pooling(width, mode)
        return pooling, lambda x, mask: pooling({"token_embeddings": x, "attention_mask": mask})["sentence_embedding"]

    return made


def _aggregation(kind: str, *scores: bool, **given: Any) -> Callable[[int], Made]:
    """One of torch_geometric; scores: whether a linear layer scores each channel, or all of a token at once."""

    def made(width: int) -> Made:
        from torch_geometric.nn import aggr

        layers = [nn.Linear(width, width if each else 1, bias=not each) for each in scores]
        module = getattr(aggr, kind)(*layers, **given)
        return module, lambda x, rows, count: module(x, rows, dim_size=count)

    return made


@cache
def _timm_pools() -> ModuleType:
    """The poolers of timm, read without its models, which need torchvision."""
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        raise ImportError("timm is not installed")
    package = ModuleType("timm_layers_alone")
    package.__path__ = [str(Path(found.origin).parent / "layers")]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.other_pool")


def _timm(kind: str, *, masked: bool, sized: bool = False, **given: Any) -> Callable[[int], Made]:
    def made(width: int) -> Made:
        module = getattr(_timm_pools(), kind)(*([width] if sized else []), **given)
        return module, (lambda x, mask: module(x)) if masked else module

    return made


def _attention(width: int) -> Made:
    module = nn.MultiheadAttention(width, 4, batch_first=True)
    return module, lambda x, mask: module(x[:, :1], x, x, key_padding_mask=~mask, need_weights=False)[0][:, 0]


def _function(function: Callable[..., Tensor]) -> Callable[[int], Made]:
    return lambda width: (None, function)


PEERS: dict[str, dict[str, Callable[[int], Made]]] = {
    "padded": {
        "mean, sentence-transformers": _modes("mean"),
        "max, sentence-transformers": _modes("max"),
        "cls, sentence-transformers": _modes("cls"),
        "last, sentence-transformers": _modes("lasttoken"),
        "sqrt, sentence-transformers": _modes("mean_sqrt_len_tokens"),
        "weighted, sentence-transformers": _modes("weightedmean"),
        "lse, timm": _timm("LsePlus1d", masked=True, r_learnable=False),
        "simpool, timm": _timm("SimPool1d", masked=True, sized=True, gamma=1.25),
        "clsattend, torch": _attention,
    },
    "packed": {
        "mean, torch_geometric": _aggregation("MeanAggregation"),
        "max, torch_geometric": _aggregation("MaxAggregation"),
        "min, torch_geometric": _aggregation("MinAggregation"),
        "sum, torch_geometric": _aggregation("SumAggregation"),
        "softpool, torch_geometric": _aggregation("SoftmaxAggregation"),
        "gem, torch_geometric": _aggregation("PowerMeanAggregation", p=3.0, learn=True),
        "gwap, torch_geometric": _aggregation("AttentionalAggregation", False),
        "attsets, torch_geometric": _aggregation("AttentionalAggregation", True),
    },
    "map": {
        "mean, torch": _function(lambda x: F.adaptive_avg_pool2d(x, 1)),
        "max, torch": _function(lambda x: F.adaptive_max_pool2d(x, 1)),
        "lse, timm": _timm("LsePlus2d", masked=False, r_learnable=False),
        "simpool, timm": _timm("SimPool2d", masked=False, sized=True, gamma=1.25),
    },
}
"""By form, and by the word that means the same: how a peer is made for tokens of a width."""


def _windows(word: str, **given: Any) -> Callable[[tuple[int, int]], Any]:
    return lambda out_size: registry.make(word, ("window",), kernel=2, **given)


WINDOWS: dict[str, Callable[[tuple[int, int]], Any]] = {
    "mean": lambda _: registry.make("windows", ("adapter",), pooler="mean", kernel=2),
    "mean, torch": lambda _: nn.AvgPool2d(2),
    "max": lambda _: registry.make("windows", ("adapter",), pooler="max", kernel=2),
    "max, torch": lambda _: nn.MaxPool2d(2),
    "softpool": lambda _: registry.make("windows", ("adapter",), pooler="softpool", kernel=2),
    "mixed": _windows("mixed"),
    "gated": _windows("gated"),
    "tree": _windows("tree"),
    "expadapool": lambda out_size: registry.make("expadapool", ("window",), kernel=2, out_size=out_size),
}


def contests() -> Iterator[Contest]:
    """Yield a contest a shape and form."""
    words = [row.word for row in registry.rows("pool") if row.built and row.gives == "dense"]
    words.sort(key=lambda word: word != FIRST)
    for shape in STATES:
        for form in ("padded", "packed"):
            title = f"{form}: {shape[0]} rows of {shape[1]} tokens of width {shape[2]}"
            yield _contest(title, form, shape, [word for word in words if shape == STATES[0] or word not in TOO_LARGE])
    flat = [word for word in words if not (made := registry.find(word, ("pool",)).load()).side and made.reads == "last"]
    title = f"maps: {MAPS[0]} of {MAPS[2]} by {MAPS[3]} cells with {MAPS[1]} channels"
    yield _contest(title, "map", MAPS, flat)
    title = f"windows of 2 by 2 cells of {title.removeprefix('maps: ')}"
    standing = {name: (window, title, name, MAPS) for name in WINDOWS}
    yield Contest(title, "rows", MAPS[0], standing, together=True)


def _contest(title: str, form: str, shape: tuple[int, ...], words: list[str]) -> Contest:
    standing: dict[str, tuple[Any, ...]] = {}
    for word in words:
        standing[word] = (ours, title, word, form, shape)
        same = (name for name in PEERS[form] if _beside(name) == word)
        standing |= {name: (peer, title, name, form, shape) for name in same}
    note = NOTE if shape == STATES[0] and form == "padded" else ""
    return Contest(title, "rows", shape[0], standing, note=note, together=True)
