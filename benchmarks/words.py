"""Words: counting, indexing and asking 100,000 texts with BM25.

The texts are drawn from a Zipf law over 60,000 words, 30 to 120 words each; questions hold 3 to 8 words drawn alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from benchmarks.harness import Contest, Turn

TEXTS, QUESTIONS, VOCABULARY, K = 100_000, 256, 60_000, 10


@cache
def _drawn() -> tuple[list[str], list[str]]:
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(generator.choice(letters, generator.integers(3, 10))) for _ in range(VOCABULARY)]
    share = 1 / np.arange(1, VOCABULARY + 1)
    share /= share.sum()

    def texts(count: int, least: int, most: int) -> list[str]:
        lengths = generator.integers(least, most, count)
        drawn = iter(generator.choice(VOCABULARY, lengths.sum(), p=share).tolist())
        return [" ".join(words[next(drawn)] for _ in range(length)) for length in lengths]

    return texts(TEXTS, 30, 120), texts(QUESTIONS, 3, 9)


def build_cenote() -> Turn:
    from cenote.encode.bm25 import BM25
    from cenote.index.sparse import Saturation, Sparse

    texts, _ = _drawn()

    def turn() -> Mapping[str, float]:
        index = Sparse.build(BM25().counts(texts), saturation=Saturation(1.5, 0.75))
        return {"bytes a text": index.nbytes().index / len(texts)}

    return turn


def build_bm25s(backend: str) -> Turn:
    import bm25s

    texts, _ = _drawn()

    def turn() -> Mapping[str, float]:
        index = bm25s.BM25(method="lucene", backend=backend)
        index.index(bm25s.tokenize(texts, stopwords=None, show_progress=False), show_progress=False)
        arrays = [index.scores[name] for name in ("data", "indices", "indptr")]
        return {"bytes a text": sum(array.nbytes for array in arrays) / len(texts)}

    return turn


def search_cenote(batch: int) -> Turn:
    from cenote.encode.bm25 import BM25
    from cenote.index.sparse import Saturation, Sparse

    texts, questions = _drawn()
    words = BM25()
    index = Sparse.build(words.counts(texts), saturation=Saturation(words.k1, words.b))

    def turn() -> None:
        for start in range(0, len(questions), batch):
            index.search(words.counts(questions[start : start + batch]), K)

    return turn


def search_bm25s(batch: int, backend: str) -> Turn:
    import bm25s

    texts, questions = _drawn()
    index = bm25s.BM25(method="lucene", backend=backend)
    index.index(bm25s.tokenize(texts, stopwords=None, show_progress=False), show_progress=False)

    def turn() -> None:
        for start in range(0, len(questions), batch):
            asked = bm25s.tokenize(questions[start : start + batch], stopwords=None, show_progress=False)
            index.retrieve(asked, k=K, show_progress=False, n_threads=2 if batch > 1 else 0)

    return turn


def contests() -> list[Contest]:
    """Building, asking all at once, and asking one after another."""
    peers = {f"bm25s, {name}": name for name in ("numpy", "numba")}
    build = {"cenote": (build_cenote,)} | {name: (build_bm25s, backend) for name, backend in peers.items()}
    out = [Contest("count and index 100,000 texts", "texts", TEXTS, build)]
    for batch, title in ((QUESTIONS, "256 questions in one call"), (1, "256 questions one by one")):
        asked = {name: (search_bm25s, batch, backend) for name, backend in peers.items()}
        out.append(Contest(title, "questions", QUESTIONS, {"cenote": (search_cenote, batch)} | asked))
    return out
