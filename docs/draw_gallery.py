"""Draw the pictures of the gallery: CENOTE_DATA=… python docs/draw_gallery.py [WORD…]

A pooler of tokens is drawn over the states that MiniLM gives one sentence: a bar a token, its weight where the pooler
has one weight a token, else how far the vector turns when the token is left out. A pooler of maps is drawn over a digit
of MNIST, beside what becomes of it. The pictures are kept, so that the pages are made without the model and the data.
"""

from __future__ import annotations

import gzip
import html
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.image import imsave
from torch import Tensor, nn

from cenote import Encoder, registry
from cenote.pool import Pooler

PICTURES = Path(__file__).parent / "images" / "gallery"
SENTENCE = "The old ferry left the harbour before the storm."
MENTIONS = ((0, 3), (7, 9))
"""Words: the old ferry, and the storm."""
HEADS = (2, 2, 3, -1, 5, 3, 8, 8, 3)
"""The word that each word hangs from."""
NEEDED: dict[str, Any] = {"layers": 6, "hidden": 128, "classes": 4, "groups": 12, "max_size": 12}
"""Arguments without a default that are no width."""
ADAPTED: dict[str, dict[str, Any]] = {
    "concat": {"poolers": ["mean", "max"]},
    "mix": {"poolers": ["mean", "cls"], "shares": [0.5, 0.5]},
    "chain": {"poolers": [{"word": "kmax", "k": 3}, "mean"]},
    "over_layers": {"pooler": "max", "inner": "mean"},
    "over_time": {"pooler": "mean"},
}
"""Adapters of poolers of tokens, and what is adapted."""
SIDE, CELLS, BAR, HIGH, TEXT = 168, 14, 24, 84, "#7f8791"
"""Pixels of a drawn map, cells of the map after pooling, pixels of bars, and a grey that is read on white and black."""


def main(words: list[str]) -> None:
    """Draw the named, or all."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for row in registry.rows():
        if row.kind not in ("pool", "adapter", "window", "map") or not row.built or row.gives == "multi":
            continue
        if words and row.word not in words:
            continue
        name = f"{row.kind}-{row.word}"
        if row.kind == "pool" or row.word in ADAPTED:
            (PICTURES / f"{name}.svg").write_text(bars(row))
        elif (drawn := maps(row)) is not None:
            imsave(PICTURES / f"{name}.png", drawn)
        print(name)


def bars(row: registry.Row) -> str:
    """Return a picture, SVG: a bar a token."""
    names, x, side = _sentence()
    needed = {p.name: NEEDED.get(p.name, x.shape[-1]) for p in registry.parameters(row.load()) if p.default is p.empty}
    torch.manual_seed(0)
    pooler = registry.make(row.word, (row.kind,), **needed | ADAPTED.get(row.word, {})).eval()
    return _svg(names, shares(pooler, x if pooler_reads_layers(pooler) else x[:, -1], side))


def pooler_reads_layers(pooler: nn.Module) -> bool:
    """Whether all layers are wanted."""
    return isinstance(pooler, Pooler) and pooler.reads_layers


@torch.no_grad()
def shares(pooler: nn.Module, x: Tensor, side: dict[str, Tensor]) -> list[float]:
    """Return for each token its weight, or by how much the vector turns without it, in shares of the sum."""
    if not isinstance(pooler, Pooler):  # frames in place of tokens: each is left out by what pools them
        pooler = pooler.over
        assert isinstance(pooler, Pooler)
    mask = torch.ones(1, x.shape[-2], dtype=torch.bool)
    given = {name: side[name] for name in pooler.side}
    if type(pooler).weights is not Pooler.weights:
        found = pooler(x, mask, side=given, return_weights=True)[1].reshape(-1, x.shape[-2]).mean(0)
        return (found / found.sum()).tolist()
    whole = pooler(x, mask, side=given)
    turned = []
    for token in range(x.shape[-2]):
        mask[0, token] = False
        turned.append(1 - float(torch.cosine_similarity(whole, pooler(x, mask, side=given))))
        mask[0, token] = True
    found = np.where(np.array(turned) > 1e-5, turned, 0)  # what is less is rounding
    return (found / found.sum()).tolist()


def _sentence() -> tuple[list[str], Tensor, dict[str, Tensor]]:
    """Return tokens, their states (1, 6, N, D) and the side inputs."""
    encoder = Encoder("minilm", device="cpu", dtype="fp32")
    (states,) = encoder.states([SENTENCE], layers=range(1, encoder.depth + 1))
    x = torch.stack([states.layers[layer].float() for layer in sorted(states.layers)])[None]
    spans = states.spans.tolist()
    names = [SENTENCE[a:b] if a >= 0 else ("[CLS]" if n == 0 else "[SEP]") for n, (a, b) in enumerate(spans)]
    words = [SENTENCE[:a].count(" ") if a >= 0 and SENTENCE[a:b] != "." else -1 for a, b in spans]
    side = {"words": torch.tensor([words]), "spans": torch.tensor([MENTIONS]), "heads": torch.tensor([HEADS])}
    return names, x, side


def _svg(names: list[str], heights: list[float]) -> str:
    step = 2 * BAR + 6
    width, most = step * len(names) + 8, max(heights) or 1
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HIGH + 44}" width="{width}">']
    lines.append(f'<g fill="{TEXT}" font-family="sans-serif" font-size="12" text-anchor="middle">')
    for n, (name, share) in enumerate(zip(names, heights, strict=True)):
        middle, high = 4 + step * n + step / 2, round(HIGH * share / most, 1)
        top = HIGH + 16 - high
        lines.append(f'<rect x="{middle - BAR / 2}" y="{top:.1f}" width="{BAR}" height="{high}" fill="#009688"/>')
        lines.append(f'<text x="{middle}" y="{top - 4:.1f}" font-size="10">{share:.2f}</text>')
        lines.append(f'<text x="{middle}" y="{HIGH + 34}">{html.escape(name)}</text>')
    lines.append(f'<path d="M4 {HIGH + 16.5}H{width - 4}" stroke="{TEXT}"/></g></svg>')
    return "\n".join(lines) + "\n"


@torch.no_grad()
def maps(row: registry.Row) -> np.ndarray[Any, Any] | None:
    """Return a picture (height, width) of a digit and of what is made of it, or None where nothing is drawn."""
    digit = _digit()
    torch.manual_seed(0)
    match row.word:
        case "dynamic-kmax":
            return None  # of sentences, layer by layer
        case "over_space":
            pooler = registry.make("over_space", ("adapter",), pooler="idw")
            around = nn.functional.unfold(digit, 5, padding=2).view(1, 25, 28, 28)  # a cell is what surrounds it
            after = [pooler(around, return_weights=True)[1]]
        case "windows":
            after = [registry.make("windows", ("adapter",), pooler="softpool", kernel=2)(digit)]
        case "pyramid":
            pyramid = registry.make("pyramid", ("map",), levels=(6, 3, 2, 1), kind="mean")
            found = iter(pyramid(digit).flatten().split([n * n for n in (6, 3, 2, 1)]))
            after = [part.view(1, 1, n, n) for n, part in zip((6, 3, 2, 1), found, strict=True)]
        case "adaunpool":
            small, weights = registry.make("expadapool", ("window",), kernel=2, out_size=(CELLS, CELLS))(
                digit, return_weights=True
            )
            after = [small, registry.make("adaunpool", ("window",), kernel=2)(small, weights)]
        case _:
            size = {"out_size": (CELLS, CELLS)} if row.word == "expadapool" else {}
            after = [registry.make(row.word, (row.kind,), kernel=2, **size)(digit)]
    panels = [_panel(one) for one in (digit, *after)]
    gap = np.zeros((SIDE, 12, 4))  # nothing, so that the page is seen
    return np.concatenate([part for panel in panels for part in (gap, panel)][1:], axis=1)


def _panel(x: Tensor) -> np.ndarray[Any, Any]:
    """Return cells as a grey picture (height, width, 4), the greatest white."""
    cells = np.atleast_2d(x.squeeze().clamp(min=0).numpy())
    grey = np.kron(cells / max(float(cells.max()), 1e-12), np.ones((SIDE // len(cells),) * 2))
    return np.dstack([grey, grey, grey, np.ones_like(grey)])


def _digit() -> Tensor:
    with gzip.open(Path(os.environ["CENOTE_DATA"]) / "mnist-t10k" / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(16 + 28 * 28)[16:], np.uint8)
    return torch.from_numpy(pixels.reshape(1, 1, 28, 28) / np.float32(255))


if __name__ == "__main__":
    main(sys.argv[1:])
