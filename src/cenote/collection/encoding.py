"""Encoding: a segment of documents becomes a segment that can be searched, or several where memory asks for it.

    seg (documents only) -> passages -> vectors -> seg

What is made depends on the segment, on who is alive in it and on the stages alone, and is named after these: done
twice, or by two processes at once, it is the same folder, and the second finds it there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Bool, concatenated
from cenote.collection import documents, durable
from cenote.collection.manifest import Files, Segment, Tombstones
from cenote.collection.segment import DOCUMENTS, IDS, INDEX, OpenSegment, write_ids, write_passages
from cenote.collection.writer import drafted, placed
from cenote.data.base import Document, Span
from cenote.recipe import Chain

_TEXTS = 4096
"""Passages encoded together: as many as batches of one length are made of."""


@dataclass(frozen=True)
class Waiting:
    """A segment that waits to be encoded, and all that encoding depends on: it may be sent to another machine.

    folder: the collection's. stages, stage_files: the fitted stages there. vector_bytes: of vectors held at once.
    """

    folder: Path
    segment: Segment
    tombstones: Tombstones | None
    schema: dict[str, str]
    recipe: str
    stages: str
    stage_files: Files
    vector_bytes: int

    def name(self, group: int) -> str:
        """Return the name of a segment that is made of this one: a hash of all that it depends on."""
        source = [self.segment.name, self.segment.files, self.tombstones and self.tombstones.blake2b, self.schema]
        how = [self.recipe, self.stage_files, self.vector_bytes, group]
        return blake2b(json.dumps([source, how], sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Encoded:
    """What became of a segment: the segments made, the seconds of encoding, and what the encoder read and cut."""

    segments: tuple[Segment, ...]
    seconds: float
    read: dict[str, int]


Told: TypeAlias = Callable[[int], None]
"""Told how many more documents are done."""
Encoders: TypeAlias = Callable[[Sequence[Waiting], Chain, Told], Iterator[tuple[Waiting, Encoded]]]
"""Who encodes: yields each segment with what became of it, in any order."""


def one_by_one(waiting: Sequence[Waiting], chain: Chain, told: Told) -> Iterator[tuple[Waiting, Encoded]]:
    """Encode segments in this process."""
    for one in waiting:
        yield one, encoded(one, chain, told)


def encoded(waiting: Waiting, chain: Chain, told: Told) -> Encoded:
    """Encode a segment with a chain whose stages are fitted."""
    seconds, read = chain.encode_seconds, Counter(chain.read())
    one = OpenSegment(waiting.folder, waiting.segment, waiting.tombstones)
    spans: list[list[Span]] = []
    lengths: list[int] = []
    for some in one.table.documents():
        spans += chain.passages_of(some)
        lengths += [len(document.text) for document in some]
    held = np.cumsum([_held(chain, cut) if alive else 0 for cut, alive in zip(spans, one.alive, strict=True)])
    groups = (held - 1) // waiting.vector_bytes
    made = []
    for group in np.unique(groups[one.alive]):
        name, marked = waiting.name(int(group)), one.alive & (groups == group)
        made.append(_group(waiting, one, name, marked, spans, lengths, chain, told))
    now = Counter(chain.read())
    now.subtract(read)
    return Encoded(tuple(made), chain.encode_seconds - seconds, dict(now))


def _held(chain: Chain, spans: Sequence[Span]) -> int:
    """The bytes that the vectors of some passages take."""
    return int(chain.held(np.array([span.end - span.start for span in spans], np.int64)).sum())


def _group(
    waiting: Waiting,
    one: OpenSegment,
    name: str,
    marked: Bool,
    spans: list[list[Span]],
    lengths: list[int],
    chain: Chain,
    told: Told,
) -> Segment:
    rows = np.flatnonzero(marked)
    mine = [spans[row] for row in rows]
    passages = sum(map(len, mine))
    vectors, texts, finished = _Vectors(passages), list[str](), 0

    def encode() -> None:
        nonlocal texts, finished
        done = said = 0

        def progress(more: int) -> None:
            nonlocal done, said
            done += more
            now = min(finished, finished * done // max(1, len(texts)))  # several legs tell of the same texts
            told(now - said)
            said = now

        vectors.add(chain.vectors(texts, "document", progress))
        told(finished - said)
        texts, finished = [], 0

    first = 0
    for some in one.table.documents():
        live = [(d, spans[first + i]) for i, d in enumerate(some) if marked[first + i]]
        first += len(some)
        for document, cut in live:
            texts += texts_of([document], [cut])
            finished += 1
            if len(texts) >= _TEXTS:
                encode()
    encode()
    draft = drafted(waiting.folder)
    known = copy_documents(one, marked, draft, waiting.schema)
    whole = write_passages(draft, mine, [lengths[row] for row in rows])
    chain.build(vectors.whole()).save(draft / INDEX)
    entry = {"documents": len(rows), "passages": passages, "encoded": True, "whole": whole}
    return placed(waiting.folder, draft, name, entry | {"characters": share(one, len(rows))}, known)


class _Vectors:
    """Vectors of so many passages, joined as they come.

    Dense ones are copied to their place at once: parts that are kept and then let go of leave memory in pieces too
    small for what an index is built with, so that they count twice.
    """

    def __init__(self, passages: int) -> None:
        self._passages, self._done = passages, 0
        self._dense: NDArray[Any] | None = None
        self._parts: list[Any] = []
        self._legs: dict[str, _Vectors] = {}

    def add(self, part: Any) -> None:
        """Take the vectors of the next passages."""
        if isinstance(part, dict):
            for name, one in part.items():
                self._legs.setdefault(name, _Vectors(self._passages)).add(one)
        elif isinstance(part, np.ndarray):
            if self._dense is None:
                self._dense = np.empty((self._passages, *part.shape[1:]), part.dtype)
            self._dense[self._done : self._done + len(part)] = part
            self._done += len(part)
        else:
            self._parts.append(part)

    def whole(self) -> Any:
        """Return the vectors of all passages, and keep none of them."""
        if self._legs:
            return {name: leg.whole() for name, leg in self._legs.items()}
        if self._dense is not None:
            dense, self._dense = self._dense, None
            return dense
        joined = concatenated(self._parts)
        self._parts.clear()
        return joined


def texts_of(some: Sequence[Document], spans: Sequence[Sequence[Span]]) -> list[str]:
    """Return the texts of the passages of some documents."""
    return [d.text[span.start : span.end] for d, cut in zip(some, spans, strict=True) for span in cut]


def copy_documents(one: OpenSegment, keep: Bool, draft: Path, schema: dict[str, str]) -> Files:
    """Put the documents that are kept into a draft: linked where that is all of them. Return known hashes."""
    if keep.all():
        for part in (DOCUMENTS, IDS):
            durable.link_tree(one.folder / part, draft / part)
        return {path: entry for path, entry in one.entry.files.items() if path.split("/")[0] in (DOCUMENTS, IDS)}
    documents.merge(draft / DOCUMENTS, [(one.folder / DOCUMENTS, keep)], schema)
    write_ids(draft, one.ids(np.flatnonzero(keep)))
    return {}


def share(one: OpenSegment, count: int) -> int:
    """Return about how many of a segment's characters some of its documents hold."""
    return one.entry.characters * count // max(1, one.entry.documents)
