"""Growth: a collection of 10,000, 100,000 and a million documents, built and asked.

Documents are 12 to 40 words drawn from a Zipf law, each with a number; questions are the last five words of a document.
The recipe has a small encoder, so that what is measured is the collection and not a large model. Every size is built
once, in a process of its own, under a memory of 1 GiB; recall is against an exact search over the same vectors. Beside
it stands the library as it was before its packed encoder and its compiled scans, taken from the history.
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

from benchmarks import before
from benchmarks.floors import WORK, Floors
from benchmarks.harness import Contest, Turn

SIZES = (10_000, 100_000, 1_000_000)
RECIPE, EXACT = "wordllama | int8 | flat | rerank float32 40", "wordllama | flat"
VOCABULARY, QUESTIONS = 30_000, 100
_COMPARED = 100_000  # documents up to which the old one is built too: it takes several times as long


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
            with Floors() as floors:
                began = time.perf_counter()
                docs = cenote.create(folder / "docs.cenote", documents(count), RECIPE, memory="1GiB")
                built, peak = time.perf_counter() - began, _peak()
            with docs:
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
            } | {f"{work}, s": floors.seconds[work] for work in _STAGES}
        finally:
            shutil.rmtree(folder)

    return turn


def grow_before(count: int) -> Turn:
    """Do the same with the library as it was."""
    before.take()
    return grow(count)


_STAGES = tuple(dict.fromkeys(WORK[floor] for floor in ("data", "encode", "compress", "collection")))


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
    note = (
        "Seconds of reading, encoding, compressing and storing are those of all threads together, while it was built."
    )
    return [
        Contest(
            f"build {size:,} documents",
            "documents",
            size,
            {"cenote": (grow, size)}
            | ({f"cenote at {before.BEFORE}": (grow_before, size)} if size <= _COMPARED else {}),
            repeats=1,
            warm=False,
            note=note if size == SIZES[-1] else "",
        )
        for size in SIZES
    ]


_PANELS = {"seconds to build": "median", **{name: name for name in ("peak MB", "ms a question", "recall@10")}}


_SHADES = ("#c9d9ec", "#1f5fa8", "#7aa6d6", "#f0b35a")


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw how time, memory and answers grow with the documents, and what the time goes into, now and before."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(_PANELS) + 1, figsize=(15, 3), layout="constrained")
    for which, (name, colour) in enumerate((("now", "#1f5fa8"), ("before", "#b0b0b0"))):
        told = [
            (result["work"], row["told"] | {"median": row["median"]})
            for result in results
            for row in result["rows"][which : which + 1]
        ]
        for axis, key in zip(axes, _PANELS.values(), strict=False):
            axis.plot([size for size, _ in told], [one[key] for _, one in told], "o-", color=colour, label=name)
        at, left = [one for size, one in told if size == _COMPARED], 0.0
        for one in at:
            for shade, work in enumerate(_STAGES):
                axes[-1].barh(
                    name, one[f"{work}, s"], left=left, color=_SHADES[shade], label=work if not which else None
                )
                left += one[f"{work}, s"]
    for axis, title in zip(axes, _PANELS, strict=False):
        axis.set(xscale="log", title=title, xlabel="documents")
        if title in ("seconds to build", "ms a question"):
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
    axes[0].legend(frameon=False)
    axes[-1].set(title=f"building {_COMPARED:,} documents", xlabel="seconds, of all threads")
    axes[-1].legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.3), columnspacing=1)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
