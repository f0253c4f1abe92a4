"""A segment: documents, their ids, their passages and the index of these, in one immutable folder.

    documents.lance/   ids/ text.bin offsets.bin   passages/ document.bin start.bin end.bin   index/

Rows count from 0 in the order of the documents; passages follow the order of their documents. Where every document is
one whole passage there is no `passages/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Bool, Bytes, Int64
from cenote.collection import documents, durable, manifest
from cenote.data.base import Document, Span
from cenote.index import store

DOCUMENTS, IDS, PASSAGES, INDEX = "documents.lance", "ids", "passages", "index"


def write_ids(folder: Path, ids: Sequence[str]) -> None:
    """Write the ids of a segment: their UTF-8 one after another, and where each begins."""
    texts = [id.encode() for id in ids]
    ends = np.cumsum([0] + [len(text) for text in texts])
    offsets = ends.astype(np.uint32 if ends[-1] < 2**32 else np.uint64)
    arrays = {"text": np.frombuffer(b"".join(texts), np.uint8), "offsets": offsets}
    store.write(folder / IDS, {"class": "ids", "rows": len(texts)}, arrays)


def write_passages(folder: Path, spans: Sequence[Sequence[Span]], lengths: Sequence[int]) -> bool:
    """Write where the passages of each document are; return whether all are whole documents, which needs no file."""
    if all(len(one) == 1 and one[0] == Span(0, n) for one, n in zip(spans, lengths, strict=True)):
        return True
    flat = [span for one in spans for span in one]
    arrays: dict[str, NDArray[np.uint32]] = {
        "document": np.repeat(np.arange(len(spans)), [len(one) for one in spans]).astype(np.uint32),
        "start": np.array([span.start for span in flat], np.uint32),
        "end": np.array([span.end for span in flat], np.uint32),
    }
    store.write(folder / PASSAGES, {"class": "passages", "rows": len(flat)}, arrays)
    return False


class OpenSegment:
    """A segment of one version: mapped arrays, and which of its documents are dead there."""

    def __init__(self, collection: Path, entry: manifest.Segment, tombstones: manifest.Tombstones | None) -> None:
        self.folder, self.entry = collection / "seg" / entry.name, entry
        self._tombstones = None if tombstones is None else collection / tombstones.path
        self.table = documents.Table(self.folder / DOCUMENTS)

    @cached_property
    def alive(self) -> Bool:
        """bool (documents): false where a document was deleted or replaced."""
        if self._tombstones is None:
            return np.ones(self.entry.documents, np.bool_)
        return ~read_bitmap(self._tombstones, self.entry.documents)

    @cached_property
    def _ids(self) -> dict[str, NDArray[np.generic]]:
        return store.map_arrays(self.folder / IDS, store.describe(self.folder / IDS, "ids"))

    def ids(self, rows: Int64 | None = None) -> list[str]:
        """Return the ids of some documents, or of all."""
        offsets, text = self._ids["offsets"], self._ids["text"]
        if rows is None:
            whole, ends = text.tobytes(), offsets.tolist()
            return [whole[a:b].decode() for a, b in pairwise(ends)]
        starts, ends = offsets[rows].tolist(), offsets[rows + 1].tolist()
        return [text[a:b].tobytes().decode() for a, b in zip(starts, ends, strict=True)]

    def get(self, rows: Int64) -> list[Document]:
        """Return some documents, in the order asked."""
        return self.table.get(rows.tolist(), self.ids(rows))

    @cached_property
    def _passages(self) -> dict[str, NDArray[np.uint32]]:
        return store.map_arrays(self.folder / PASSAGES, store.describe(self.folder / PASSAGES, "passages"))

    @property
    def document(self) -> Int64:
        """int64 (passages): the document of each passage."""
        if self.entry.whole:
            return np.arange(self.entry.documents)
        return self._passages["document"].astype(np.int64)

    def span(self, passage: int) -> Span | None:
        """Return where a passage is, None for a whole document."""
        if self.entry.whole:
            return None
        return Span(int(self._passages["start"][passage]), int(self._passages["end"][passage]))

    def spans(self) -> dict[str, NDArray[np.uint32]]:
        """Return the arrays `document`, `start`, `end` of all passages, also where they are not stored."""
        if not self.entry.whole:
            return self._passages
        lengths = [len(document.text) for some in self.table.documents() for document in some]
        rows = np.arange(self.entry.documents, dtype=np.uint32)
        return {"document": rows, "start": np.zeros_like(rows), "end": np.array(lengths, np.uint32)}

    def nbytes(self) -> Bytes:
        """Return the bytes of ids, passages and tombstones; the index counts its own."""
        ids = sum(array.nbytes for array in self._ids.values())
        structure = 0 if self.entry.whole else sum(array.nbytes for array in self._passages.values())
        dead = 0 if self._tombstones is None else self._tombstones.stat().st_size
        text = sum(size for path, (size, _) in self.entry.files.items() if path.startswith(DOCUMENTS))
        held = ids + structure + dead
        return Bytes(ids=ids, structure=structure, tombstones=dead, attributes=text, resident=held)


def read_bitmap(path: Path, rows: int) -> Bool:
    """Return the booleans of a bitmap file."""
    return np.unpackbits(np.fromfile(path, np.uint8), count=rows).astype(np.bool_)


def write_bitmap(path: Path, marked: Bool) -> None:
    """Write booleans, eight a byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.packbits(marked).tobytes())
    durable.flush(path)
