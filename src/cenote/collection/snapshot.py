"""A snapshot: one version of a collection, opened for reading. It never changes, whatever is written meanwhile.

Documents and passages are numbered through all segments. Files stay on the disk while a snapshot that uses them is
open, as it shares a lock on its manifest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import numpy as np

from cenote.arrays import Bool, Bytes, Float32, Int64, Vectors, count, select
from cenote.collection import manifest
from cenote.collection.documents import key_of
from cenote.collection.locks import Lock
from cenote.collection.manifest import Manifest
from cenote.collection.segment import INDEX, OpenSegment
from cenote.data.base import Document, Span
from cenote.errors import CenoteError
from cenote.index.base import Index
from cenote.kernels import threads

_TRIES = 100
_GROW = 4
"""How many times more passages are asked for when those found belong to too few documents."""

Opener = Callable[[list[Path]], Index]
T = TypeVar("T")


class Found(NamedTuple):
    """A document found: its number, that of its best passage, and the score of this."""

    document: int
    passage: int
    score: float


class Snapshot:
    """One version of a collection. open_index: opens the index folders of all segments as one."""

    def __init__(self, folder: Path, found: Manifest, lock: Lock | None, open_index: Opener) -> None:
        self.folder, self.manifest = folder, found
        self._lock, self._open_index = lock, open_index
        self._guard, self._users, self._closed = threading.Lock(), 0, False
        self.segments = [OpenSegment(folder, one, found.tombstones.get(one.name)) for one in found.segments]
        self._documents = np.cumsum([0] + [one.documents for one in found.segments], dtype=np.int64)
        self._passages = np.cumsum([0] + [one.passages for one in found.segments], dtype=np.int64)

    @classmethod
    def newest(cls, folder: Path, open_index: Opener) -> Snapshot:
        """Open the current version, and hold it.

        Raises CorruptIndex where a file is damaged, ValueError where there is no collection.
        """
        for _ in range(_TRIES):
            name = manifest.current_name(folder)
            lock = Lock.shared(folder / name)
            if lock is None and manifest.current_name(folder) != name:
                continue  # a commit came between
            try:
                found = manifest.read(folder)
                if found.name != name:
                    continue
                manifest.check(folder, found)
                kept, lock = lock, None
                return cls(folder, found, kept, open_index)
            finally:
                if lock is not None:
                    lock.release()
        raise CenoteError(f"{folder} changes faster than it can be opened; try again")

    def close(self) -> None:
        """Let go of the version, once nobody uses it: its files may be removed when it is no longer the newest."""
        with self._guard:
            self._closed = True
            self._release()

    @contextmanager
    def used(self) -> Iterator[Self]:
        """Keep the version while it is asked, also where another thread closes it meanwhile."""
        with self._guard:
            self._users += 1
        try:
            yield self
        finally:
            with self._guard:
                self._users -= 1
                self._release()

    def _release(self) -> None:
        if self._closed and not self._users and self._lock is not None:
            self._lock.release()
            self._lock = None

    def __len__(self) -> int:
        """Live documents."""
        return self.manifest.documents

    @property
    def passages(self) -> int:
        """Passages of live documents."""
        return int(self._passages[-1]) if self._alive is None else int(self._gathered(self._alive).sum())

    @cached_property
    def index(self) -> Index:
        """All segments as one index, memory-mapped; there must be one."""
        index = self._open_index([one.folder / INDEX for one in self.segments])
        if self._alive is not None:
            index.living(self._gathered(self._alive))
        return index

    @cached_property
    def _alive(self) -> Bool | None:
        """bool (documents), None where nothing is dead."""
        if not self.manifest.tombstones:
            return None
        return np.concatenate([one.alive for one in self.segments])

    @cached_property
    def _whole(self) -> bool:
        """Whether every document is one passage, so that their numbers agree."""
        return all(one.entry.passages == one.entry.documents for one in self.segments)

    @cached_property
    def _document(self) -> Int64:
        """int64 (passages): the document of each."""
        return np.concatenate(
            [one.document + first for one, first in zip(self.segments, self._documents, strict=False)]
        )

    def _gathered(self, documents: Bool) -> Bool:
        """Marked documents as marked passages."""
        return documents if self._whole else documents[self._document]

    def matching(self, where: str) -> Bool:
        """Return bool (documents): those that are live and for which the condition holds.

        Raises ValueError for a condition that is none.
        """
        marked = np.zeros(int(self._documents[-1]), np.bool_)
        for one, first in zip(self.segments, self._documents, strict=False):
            marked[one.table.matching(where, self.manifest.schema) + first] = True
        return marked if self._alive is None else marked & self._alive

    def search(self, queries: Vectors, k: int, where: str | None = None, *, every: bool = False) -> list[list[Found]]:
        """Return the k best documents of each query, each by its best passage; `every`: the k best passages.

        Raises ValueError for a condition that is none, and what the index raises for wrong queries.
        """
        asked = count(queries)
        if not self.segments:
            return [[] for _ in range(asked)]
        marked = self._alive if where is None else self.matching(where)
        keep = None if marked is None else self._gathered(marked)
        reachable = int(self._passages[-1]) if keep is None else int(keep.sum())
        documents = int(self._documents[-1]) if marked is None else int(marked.sum())
        out: list[list[Found]] = [[] for _ in range(asked)]
        k = min(k, max(1, reachable if every else documents))  # whatever is asked for, room is made for what there is
        ask = k if every or self._whole else min(2 * k, max(k, reachable))
        pending = np.arange(asked)
        while len(pending):
            hits = self.index.search(select(queries, pending), ask, keep=keep)
            short = []
            for row, query in enumerate(pending):
                reached = int(hits.counts[row])
                found = self._found(hits.ids[row, :reached], hits.scores[row, :reached], every)
                out[query] = found[:k]
                # fewer than asked for: there is nothing more to find
                if len(found) < min(k, reachable if every else documents) and reached == ask:
                    short.append(query)
            pending = np.array(short, np.int64)
            ask = min(_GROW * ask, max(reachable, 1))
        return out

    def leg_scores(self, queries: Vectors, found: Sequence[Sequence[Found]]) -> list[list[dict[str, float]]]:
        """Return what each leg of the recipe scores the passages found; nothing where it has one leg."""
        width = max(map(len, found), default=0)
        rows = np.full((len(found), width), -1, np.int64)
        for n, row in enumerate(found):
            rows[n, : len(row)] = [one.passage for one in row]
        legs = self.index.leg_scores(queries, rows) if width else {}
        return [
            [{name: float(scores[n, i]) for name, scores in legs.items()} for i in range(len(row))]
            for n, row in enumerate(found)
        ]

    def _found(self, passages: Int64, scores: Float32, every: bool) -> list[Found]:
        documents = passages if self._whole else self._document[passages]
        if not every and not self._whole:
            _, first = np.unique(documents, return_index=True)
            first.sort()
            documents, passages, scores = documents[first], passages[first], scores[first]
        return [Found(*row) for row in zip(documents.tolist(), passages.tolist(), scores.tolist(), strict=True)]

    def ids_of(self, documents: Sequence[int]) -> list[str]:
        """Return the ids of documents by number, in the order given."""
        return self._by_segment(documents, lambda one, rows: one.ids(rows))

    def get(self, documents: Sequence[int]) -> list[Document]:
        """Return documents by number, in the order given."""
        return self._by_segment(documents, OpenSegment.get)

    def hashes(self, documents: Sequence[int]) -> list[bytes]:
        """Return the content hashes of documents by number."""
        return self._by_segment(documents, lambda one, rows: one.table.hashes(rows.tolist()))

    def _by_segment(self, documents: Sequence[int], fetch: Callable[[OpenSegment, Int64], list[T]]) -> list[T]:
        wanted = np.asarray(documents, np.int64)
        segment = np.searchsorted(self._documents, wanted, side="right") - 1
        numbers = np.unique(segment)
        out: dict[int, T] = {}

        def take(pieces: Iterator[int]) -> None:
            for number in map(numbers.__getitem__, pieces):
                places = np.flatnonzero(segment == number)
                got = fetch(self.segments[number], wanted[places] - self._documents[number])
                out.update(zip(places.tolist(), got, strict=True))

        # whoever reads a table waits for other threads more than half of the time
        threads.shared(take, len(numbers))
        return [out[place] for place in range(len(wanted))]

    def span(self, passage: int) -> Span | None:
        """Return where a passage is in its document, None for the whole."""
        segment = int(np.searchsorted(self._passages, passage, side="right")) - 1
        return self.segments[segment].span(passage - int(self._passages[segment]))

    def ids(self) -> list[str]:
        """Return the ids of the live documents, in the order they are stored."""
        return [id for one in self.segments for id, alive in zip(one.ids(), one.alive, strict=True) if alive]

    @cached_property
    def _keys(self) -> tuple[Int64, Int64]:
        """The sorted keys of all documents, and the document of each."""
        keys = np.concatenate([one.table.keys() for one in self.segments] or [np.zeros(0, np.uint64)])
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def find(self, ids: Sequence[str]) -> list[int]:
        """Return the number of the live document of each id, -1 where there is none."""
        keys, order = self._keys
        wanted = np.array([key_of(id) for id in ids], np.uint64)
        low, high = np.searchsorted(keys, wanted, side="left"), np.searchsorted(keys, wanted, side="right")
        candidates = [(row, int(order[at])) for row in range(len(ids)) for at in range(low[row], high[row])]
        live = [(row, d) for row, d in candidates if self._alive is None or self._alive[d]]
        out = [-1] * len(ids)
        # two ids may share a key
        for (row, document), id in zip(live, self.ids_of([d for _, d in live]), strict=True):
            if id == ids[row]:
                out[row] = document
        return out

    def place(self, document: int) -> tuple[str, int]:
        """Return the segment and the row of a document."""
        segment = int(np.searchsorted(self._documents, document, side="right")) - 1
        return self.manifest.segments[segment].name, document - int(self._documents[segment])

    def nbytes(self) -> Bytes:
        """Return where the bytes are; `disk` is left to the caller, who knows the other files."""
        parts = sum((one.nbytes() for one in self.segments), Bytes())
        return parts + self.index.nbytes() if self.segments else parts
