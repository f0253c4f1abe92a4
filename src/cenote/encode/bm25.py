"""BM25: a text as the words it holds and how often, weighted by how rare they are when it is searched.

    score(q, d) = sum_w q_w idf(w) tf / (tf + k1 (1 − b + b |d| / avgdl))
    idf(w) = ln(1 + (N − df + 0.5) / (df + 0.5))

    texts (n) -> Sparse (n, 2^63): counts tf of hashed words

Robertson & Zaragoza, "The probabilistic relevance framework: BM25 and beyond" (2009), with the idf of Lucene, which is
never negative. Only counts are kept: N, df and avgdl are those of the collection as it is when somebody asks.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Literal

import numpy as np

from cenote.arrays import Int64, Sparse
from cenote.kernels.postings import tallied
from cenote.kernels.words import number, spans, words

DIM = 2**63

Language = Literal[
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese",
    "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
]  # fmt: skip


class BM25:
    """The words of a text, counted.

    k1: how fast a repeated word stops counting more. b: how much long texts are held back, 0 not at all, 1 in full.
    stem: a language whose endings are cut off (Snowball; needs the package PyStemmer), None for words as they stand.

    Raises ValueError for k1 < 0, b outside 0..1, and a stemmer that is not installed.
    """

    def __init__(self, k1: float = 1.5, b: float = 0.75, stem: Language | None = None) -> None:
        if not k1 >= 0 or k1 == float("inf"):
            raise ValueError(f"k1 must be at least 0, not {k1}")
        if not 0 <= b <= 1:
            raise ValueError(f"b must lie between 0 and 1, not {b}")
        self.k1, self.b, self.stem = k1, b, stem
        self._number = number if stem is None else _stemmed(stem)

    def counts(self, texts: Sequence[str]) -> Sparse:
        """Return the words of each text by their numbers, ascending, and how often each stands there."""
        if len(texts) == 1:
            return self._counted(texts[0])
        # words are counted by the order in which they come; each is hashed once
        vocabulary: defaultdict[str, int] = defaultdict(count().__next__)
        offsets, places = array("q", [0]), array("q")
        for text in texts:
            places.extend(map(vocabulary.__getitem__, words(text)))
            offsets.append(len(places))
        numbers = np.array([self._number(word) for word in vocabulary], np.int64)
        ordered, rank = np.unique(numbers, return_inverse=True)
        columns = rank.astype(np.int64)[np.frombuffer(places, np.int64)] if places else np.zeros(0, np.int64)
        indptr, found, counts = tallied(np.frombuffer(offsets, np.int64), columns)
        return Sparse(indptr, ordered[found], counts, DIM)

    def _counted(self, text: str) -> Sparse:
        """One text, as a question is: arrays of a few words would take longer to set up than the words to count."""
        found = Counter(map(self._number, words(text)))
        numbers = sorted(found)
        counts = np.array([found[number] for number in numbers], np.float32)
        return Sparse(np.array([0, len(numbers)], np.int64), np.array(numbers, np.int64), counts, DIM)

    def token_spans(self, texts: Sequence[str]) -> list[Int64]:
        """Return int64 (n, 2) of each text: the characters of its words."""
        return [spans(text) for text in texts]

    def reference(self) -> dict[str, Any]:
        """Return what makes this encoder again."""
        return {"model": "bm25", "k1": self.k1, "b": self.b, "stem": self.stem}


@lru_cache(maxsize=8)
def _stemmed(language: str) -> Any:
    """The numbering of words without their endings."""
    try:
        from Stemmer import Stemmer
    except ImportError:
        raise ValueError(f"stem={language} needs the package PyStemmer: pip install PyStemmer") from None
    stemmer = Stemmer(language)
    return lambda word: number(stemmer.stemWord(word))
