"""Sharded: the rows of an index lie in shares, elsewhere; every share is asked, and the answers become one.

    search(q, k) = the k best of the k best of every share         score(q, x) = that of the share that has row x

What an index is made of, as a rerank of a first pass and a finer copy, is sharded part by part, so that a rerank is of
the N best rows of all shares and a fusion of the ranks among all. What scores depend on besides their row, as how rare
a word is, is counted here over all rows and told to the shares: the answers are those of one index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Bool, Bytes, Float32, Hits, Int64, count
from cenote.index.base import Index, checked_k, checked_keep
from cenote.kernels.ranking import best


@dataclass(frozen=True)
class Question:
    """What a share is asked: the k best rows, or the scores of `ids` (q, c) where these are given.

    part: the way from the whole index to the part that is asked, by the names of `Index.parts`. keep: which rows of the
    share may be found, eight a byte. known: see `Index.known`. Rows are numbered through the share.
    """

    part: tuple[str, ...]
    queries: Any
    known: Any
    k: int = 0
    keep: NDArray[np.uint8] | None = None
    ids: Int64 | None = None


Ask: TypeAlias = Callable[[Question], Callable[[], Any]]
"""Asks a share, and returns at once; what it returns waits for the answer: `Hits`, or the scores float32 (q, c)."""


def answer(index: Index, question: Question) -> Hits | Float32:
    """Answer a question about the rows of an index, which are a share."""
    for name in question.part:
        index = index.parts()[name]
    index.told(question.known)
    if question.ids is not None:
        return index.score(question.queries, question.ids)
    keep = None if question.keep is None else np.unpackbits(question.keep, count=len(index)).astype(np.bool_)
    return index.search(question.queries, question.k, keep=keep)


@dataclass(frozen=True)
class Share:
    """Some rows of an index, in order: ranges (r, 2) of row numbers, ascending, and how to ask for them."""

    ranges: Int64
    ask: Ask

    @property
    def _firsts(self) -> Int64:
        """Where each range begins among the rows of the share."""
        return np.cumsum(np.concatenate([[0], np.diff(self.ranges, axis=1)[:, 0]]))

    def outer(self, ids: Int64) -> Int64:
        """Return row numbers of the share as those of the whole; -1 stays."""
        firsts = self._firsts
        at = np.searchsorted(firsts, np.maximum(ids, 0), side="right") - 1
        return np.where(ids >= 0, ids + (self.ranges[:, 0] - firsts[:-1])[np.minimum(at, len(self.ranges) - 1)], -1)

    def inner(self, ids: Int64) -> Int64:
        """Return row numbers of the whole as those of the share; -1 for a row it has not."""
        at = np.maximum(np.searchsorted(self.ranges[:, 0], ids, side="right") - 1, 0)
        there = (ids >= self.ranges[at, 0]) & (ids < self.ranges[at, 1])
        return np.where(there, ids + (self._firsts[:-1] - self.ranges[:, 0])[at], -1)

    def cut(self, keep: Bool) -> NDArray[np.uint8]:
        """Return which rows of the share are kept, eight a byte."""
        return np.packbits(np.concatenate([keep[start:stop] for start, stop in self.ranges]))


def sharded(index: Index, shares: Sequence[Share], part: tuple[str, ...] = ()) -> Index:
    """Return an index that asks shares instead of its own rows; every row must be in one share."""
    parts = index.parts()
    if parts:
        return index.over({name: sharded(one, shares, (*part, name)) for name, one in parts.items()})
    return Sharded(index, shares, part)


class Sharded(Index):
    """The index of all rows, which is read for what is known of all alone, and the shares that are asked."""

    def __init__(self, whole: Index, shares: Sequence[Share], part: tuple[str, ...] = ()) -> None:
        held = sum(int(np.diff(share.ranges, axis=1).sum()) for share in shares)
        if held != len(whole):
            raise ValueError(f"the shares hold {held} rows and the index {len(whole)}; every row must be in one share")
        self.whole, self.shares, self.part = whole, list(shares), part

    def __len__(self) -> int:
        return len(self.whole)

    def living(self, alive: Bool | None) -> None:
        """Say which rows live; see `Index.living`."""
        self.whole.living(alive)

    def search(self, queries: Any, k: int = 10, *, keep: Bool | None = None) -> Hits:
        """Return the k best rows of each query; see `Index.search`."""
        k, known = checked_k(k), self.whole.known(queries)
        kept = None if keep is None else checked_keep(keep, len(self))
        waits = []
        for share in self.shares:
            marked = None if kept is None else share.cut(kept)
            waits.append((share, share.ask(Question(self.part, queries, known, k=k, keep=marked))))
        found = [(share.outer(hits.ids), hits.scores) for share, wait in waits if (hits := wait())]
        asked = (count(queries), k)
        # of no share, or of rows that score nothing, there is nothing to find
        ids = np.concatenate([np.full(asked, -1, np.int64), *(ids for ids, _ in found)], axis=1)
        scores = np.concatenate([np.full(asked, -np.inf, np.float32), *(scores for _, scores in found)], axis=1)
        return best(scores, k, ids)

    def score(self, queries: Any, ids: Int64) -> Float32:
        """Return the score of rows ids (q, c) for each query; see `Index.score`."""
        ids, known = np.asarray(ids), self.whole.known(queries)
        out = np.full(ids.shape, -np.inf, np.float32)
        waits = []
        for share in self.shares:
            mine = share.inner(ids)
            if (mine >= 0).any():
                waits.append((mine >= 0, share.ask(Question(self.part, queries, known, ids=mine))))
        for there, wait in waits:
            out[there] = wait()[there]
        return out

    def save(self, folder: str | Path) -> None:
        """Write all rows into a folder; see `Index.save`."""
        self.whole.save(folder)

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> NoReturn:
        """Refuse: folders hold rows, and say nothing of shares; open them with `open_index`, and share that out."""
        raise ValueError("folders say nothing of shares; open them with open_index, and share out what it gives")

    def nbytes(self) -> Bytes:
        """Return the bytes of all rows, wherever they lie."""
        return self.whole.nbytes()

    def select(self, keep: Bool) -> Self:
        """Refuse: the rows lie elsewhere; select those of the index that was shared out."""
        raise ValueError("the rows of a sharded index lie elsewhere; select those of the index that was shared out")
