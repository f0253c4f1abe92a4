"""Growth: a collection of 10,000, 100,000 and a million documents, built and asked.

Documents are 12 to 40 words drawn from a Zipf law, each with a number; questions are the last five words of a document.
The recipe has a small encoder, so that what is measured is the collection and not a large model. Every size is built
once, in a process of its own, under a memory of 1 GiB; recall is against an exact search over the same vectors.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Contest, Turn

SIZES = (10_000, 100_000, 1_000_000)
RECIPE, EXACT = "wordllama | int8 | flat | rerank float32 40", "wordllama | flat"
VOCABULARY, QUESTIONS = 30_000, 100


def documents(count: int) -> Iterator[dict[str, Any]]:
    """Yield rows {id, text}, the same for the same count."""
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(generator.choice(letters, generator.integers(3, 9))) for _ in range(VOCABULARY)]
    share = 1 / np.arange(1, VOCABULARY + 1)
    share /= share.sum()
    for start in range(0, count, 10_000):
        lengths = generator.integers(12, 41, min(10_000, count - start))
        drawn = iter(generator.choice(VOCABULARY, lengths.sum(), p=share).tolist())
        for n, length in enumerate(lengths, start):
            yield {"id": f"d{n}", "text": f"{n} " + " ".join(words[next(drawn)] for _ in range(length))}


def grow(count: int) -> Turn:
    """Build a collection of so many documents, ask it, and say what it took."""
    import cenote

    asked = [" ".join(row["text"].split()[-5:]) for row in documents(min(count, 10_000))][:QUESTIONS]

    def turn() -> Mapping[str, float]:
        folder = Path(tempfile.mkdtemp(prefix="cenote-growth-"))
        try:
            began = time.perf_counter()
            with cenote.create(folder / "docs.cenote", documents(count), RECIPE, memory="1GiB") as docs:
                built, peak = time.perf_counter() - began, _peak()
                docs.search(asked[0])
                began = time.perf_counter()
                for question in asked:
                    docs.rank([question], 10)
                one = (time.perf_counter() - began) / len(asked)
                info = docs.info()
                found = docs.rank(asked, 10)
            with cenote.open(folder / "docs.cenote") as docs:
                exact = docs.reindex(EXACT, folder / "exact.cenote", memory="1GiB").rank(asked, 10)
            return {
                "_seconds": built,
                "peak MB": peak / 1e6,
                "bytes a document": info.bytes_per_document,
                "disk bytes a document": info.disk_bytes_per_document,
                "ms a question": 1000 * one,
                "recall@10": _recall(found, exact),
            }
        finally:
            shutil.rmtree(folder)

    return turn


def _peak() -> int:
    """The most bytes that this process held."""
    status = Path("/proc/self/status")
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(match[1]) * 1024 if match else 0


def _recall(found: Sequence[Any], exact: Sequence[Any]) -> float:
    shares = [len({i for i, _ in a} & {i for i, _ in b}) / len(b) for a, b in zip(found, exact, strict=True)]
    return float(np.mean(shares))


def contests() -> list[Contest]:
    """One size after another."""
    return [
        Contest(f"build {size:,} documents", "documents", size, {"cenote": (grow, size)}, repeats=1, warm=False)
        for size in SIZES
    ]


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw how time, memory and answers grow with the documents."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = [result["work"] for result in results]
    rows = [result["rows"][0] for result in results]
    panels = {
        "seconds to build": [row["median"] for row in rows],
        "peak MB": [row["told"]["peak MB"] for row in rows],
        "ms a question": [row["told"]["ms a question"] for row in rows],
        "recall@10": [row["told"]["recall@10"] for row in rows],
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(12, 2.8), layout="constrained")
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        axis.plot(sizes, values, "o-", color="#1f5fa8")
        axis.set(xscale="log", title=title, xlabel="documents")
        axis.set_ylim(0, 1.05 * max(values))
        if title in ("seconds to build", "ms a question"):
            axis.set_yscale("log")
            axis.set_ylim(min(values) / 2, max(values) * 2)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
