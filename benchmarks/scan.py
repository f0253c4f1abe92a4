"""Scanning: the ten nearest of 1,000,000 vectors of 384 dimensions.

The vectors lie around 2,000 centres, the queries around the same ones; all have length 1. As with embeddings of texts
a few directions vary more than the rest: the spread along direction j falls as 1 / sqrt(j). Recall is that of the exact
ten. The first row of a contest is cenote's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Contest, Turn

ROWS, DIM, QUERIES, CENTRES, SPREAD, K = 1_000_000, 384, 64, 2_000, 0.7, 10
_KEPT = Path(gettempdir()) / f"cenote-scan-{ROWS}-{DIM}-{CENTRES}-{SPREAD}-root"  # drawn once for all contestants


def _data() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return vectors (mapped), queries and their exact nearest."""
    if not (_KEPT / "nearest.npy").exists():
        _KEPT.mkdir(exist_ok=True)
        generator = np.random.default_rng(0)
        directions = np.linalg.qr(generator.standard_normal((DIM, DIM)))[0]
        spread = 1 / np.sqrt(np.arange(1, DIM + 1))
        directions = (directions * (spread / np.linalg.norm(spread))[:, None]).astype(np.float32)
        centres = _unit(generator.standard_normal((CENTRES, DIM), np.float32) @ directions)
        x = np.lib.format.open_memmap(_KEPT / "x.npy", "w+", np.float32, (ROWS, DIM))

        def draw(count: int) -> NDArray[np.float32]:
            noise = generator.standard_normal((count, DIM), np.float32) @ directions
            return _unit(centres[generator.integers(0, CENTRES, count)] + np.float32(SPREAD) * noise)

        queries, scores = draw(QUERIES), np.empty((QUERIES, ROWS), np.float32)
        for start in range(0, ROWS, 50_000):
            x[start : start + 50_000] = draw(50_000)
            scores[:, start : start + 50_000] = queries @ x[start : start + 50_000].T
        x.flush()
        np.save(_KEPT / "queries.npy", queries)
        np.save(_KEPT / "nearest.npy", np.argsort(-scores, axis=1, kind="stable")[:, :K])
    return (
        np.load(_KEPT / "x.npy", mmap_mode="c"),
        np.load(_KEPT / "queries.npy"),
        np.load(_KEPT / "nearest.npy"),
    )


def _unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _recall(found: NDArray[Any], nearest: NDArray[np.int64]) -> dict[str, float]:
    return {"recall@10": float(np.mean([np.isin(a, b).mean() for a, b in zip(nearest, found, strict=True)]))}


def _index(codec: str, *reranks: tuple[str, int]) -> Any:
    from cenote import registry
    from cenote.index import Flat
    from cenote.index.rerank import Reranked

    x = _data()[0]
    made = registry.make(codec, ("codec",))
    if codec == "float32":
        codes = {"codes": x}
    else:
        blocks = [made.encode(x[start : start + 50_000]) for start in range(0, ROWS, 50_000)]
        codes = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    index: Any = Flat([codes], made, DIM)
    for word, depth in reranks:
        index = Reranked(index, _index(word), depth)
    return index


def ours(codec: str, *reranks: list[Any]) -> Turn:
    """One batch with an index of cenote's, beside what the cores multiply when they do nothing else."""
    from benchmarks.peak import products_a_second

    _, queries, nearest = _data()
    index = _index(codec, *((word, depth) for word, depth in reranks))

    def turn() -> dict[str, float]:
        start = time.perf_counter()
        found = index.search(queries, K).ids
        seconds, told = time.perf_counter() - start, _recall(found, nearest)
        if codec in ("float32", "int8"):
            told["of the peak"] = ROWS * DIM * QUERIES / seconds / products_a_second(codec)
        return {"_seconds": seconds} | told

    return turn


def faiss(kind: str, depth: int = 0) -> Turn:
    """One batch with an index of faiss' own."""
    import faiss as peer

    peer.omp_set_num_threads(_threads())
    x, queries, nearest = _data()
    index = peer.index_factory(DIM, kind, peer.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(x[:100_000]))
    if depth:
        index.k_factor = depth / K
    for start in range(0, ROWS, 50_000):
        index.add(x[start : start + 50_000])
    return lambda: _recall(index.search(queries, K)[1], nearest)


def faiss_binary() -> Turn:
    """One batch of bits with faiss."""
    import faiss as peer

    peer.omp_set_num_threads(_threads())
    x, queries, nearest = _data()
    index, bits = peer.IndexBinaryFlat(DIM), np.packbits(queries > 0, axis=1)
    for start in range(0, ROWS, 50_000):
        index.add(np.packbits(x[start : start + 50_000] > 0, axis=1))
    return lambda: _recall(index.search(bits, K)[1], nearest)


def alone(codec: str) -> Turn:
    """Sixteen queries, one at a time, each after a plain reading of the codes that it scans."""
    _, queries, _ = _data()
    index = _index(codec)
    codes = index.codes(np.arange(ROWS))["codes"].reshape(-1).view(np.int64)

    def turn() -> dict[str, float]:
        searched = read = 0.0
        for query in queries[:16]:
            read += _timed(lambda: _read(codes))
            searched += _timed(lambda query=query: index.search(query[None], K))
        return {"_seconds": searched, "GB/s": 16 * codes.nbytes / searched / 1e9, "of the bandwidth": read / searched}

    return turn


def filtered(codec: str, share: float, batch: int) -> Turn:
    """Batches among the rows that a filter keeps, beside the same over an index of those rows alone."""
    _, queries, _ = _data()
    cuts = [queries[i : i + batch] for i in range(0, max(batch, 16), batch)]
    index, column = _index(codec), np.random.default_rng(1).random(ROWS)
    matching = index.select(column < share)

    def turn() -> dict[str, float]:
        start = time.perf_counter()
        keep = column < share
        bitmap = time.perf_counter() - start
        least = _timed(lambda: [matching.search(cut, K) for cut in cuts])
        searched = _timed(lambda: [index.search(cut, K, keep=keep) for cut in cuts])
        return {"_seconds": searched, "times the matching alone": searched / least, "ms of the bitmap": bitmap * 1e3}

    return turn


def _read(words: NDArray[np.int64]) -> None:
    cuts = np.array_split(words, _threads())
    list(_pool().map(np.sum, cuts))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_threads())


def _threads() -> int:
    from cenote.kernels.threads import count

    return count()


def _timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def contests() -> Iterator[Contest]:
    """Yield the contests."""
    yield Contest(
        f"{QUERIES} queries a batch",
        "queries",
        QUERIES,
        {
            "int8 | flat | rerank float32 40": (ours, "int8", ["float32", 40]),
            "float32 | flat": (ours, "float32"),
            "float8 | flat": (ours, "float8"),
            "faiss Flat": (faiss, "Flat"),
            "faiss SQ8": (faiss, "SQ8"),
        },
        note="Of the peak: of the products of the scan's own kind that the cores do when nothing is read or compared.",
    )
    yield Contest(
        f"Bits, 48 bytes a row, {QUERIES} queries a batch",
        "queries",
        QUERIES,
        {"binary | flat": (ours, "binary"), "faiss BinaryFlat": (faiss_binary,)},
    )
    yield Contest(
        f"48 bytes a row first, {QUERIES} queries a batch",
        "queries",
        QUERIES,
        {
            "binary | flat | rerank int8 200 | rerank float32 40": (ours, "binary", ["int8", 200], ["float32", 40]),
            "faiss PQ96x4fs": (faiss, "PQ96x4fs"),
            "faiss PQ96x4fs, 40 scored again": (faiss, "PQ96x4fs,RFlat", 40),
            "faiss PQ96x4fs, 200 scored again": (faiss, "PQ96x4fs,RFlat", 200),
        },
    )
    yield Contest(
        "One query at a time",
        "queries",
        16,
        {f"{codec} | flat": (alone, codec) for codec in ("int8", "float32", "float16", "bf16", "float8", "binary")},
        note="The bandwidth is that of numpy's sum over the same codes with as many threads, between the searches.",
    )
    for batch, asked in ((QUERIES, f"{QUERIES} queries a batch"), (1, "one query at a time")):
        yield Contest(
            f"A filter, {asked}, int8 | flat",
            "queries",
            max(batch, 16),
            {f"keeps {share:.1%}": (filtered, "int8", share, batch) for share in (0.5, 0.1, 0.01, 0.001)},
            note="Against the scan of an index of the matching rows alone; the bitmap is a comparison of a column.",
        )
