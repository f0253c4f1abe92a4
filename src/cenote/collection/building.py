"""Building: documents are read and stored first, then the stages are fitted on a sample, then all are encoded.

    read -> seg (documents only)     sample -> fit -> stages     seg (documents only) -> passages -> vectors -> seg

Every step is a commit of its own where the collection is new, so that an interrupted one is resumed where it stopped;
where it replaces another, all steps become one commit at the end, and the old version serves until then.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from cenote.arrays import Bool, concatenated
from cenote.collection import documents, durable
from cenote.collection.attributes import Schema
from cenote.collection.compaction import compact
from cenote.collection.intake import Batch, Intake
from cenote.collection.manifest import Files, Manifest, Segment
from cenote.collection.memory import Budget
from cenote.collection.segment import DOCUMENTS, IDS, INDEX, OpenSegment, write_ids, write_passages
from cenote.collection.snapshot import Opener
from cenote.collection.writer import Writer
from cenote.data.base import Document, Skipped, Span
from cenote.recipe import Chain

Progress = Callable[[str, int, int | None], None]
"""Told the phase ("read", "fit", "encode"), how much is done, and how much there is where that is known."""

FIT_PASSAGES = 16_384
"""Passages that the stages are fitted on: enough for the covariance of a thousand dimensions."""
STORE_DOCUMENTS = 65_536
_TEXTS = 4096
"""Passages encoded between two reports of progress."""


def nothing(phase: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


class Builder:
    """Builds the next version of a collection with one chain.

    draft is the manifest as it will be; it is published after every step when `each`, or once by `finish`.
    """

    def __init__(
        self, writer: Writer, chain: Chain, draft: Manifest, limits: Budget, progress: Progress, *, each: bool
    ) -> None:
        self.writer, self.chain, self.draft = writer, chain, draft
        self._limits, self._progress, self._each = limits, progress, each
        self._began = time.perf_counter()
        self._encode_seconds = draft.encode_seconds - chain.encode_seconds
        self._build_seconds = draft.build_seconds
        self._overflow = dict(draft.overflow)
        self._read_before = chain.read()

    # -- documents

    def store(self, found: Iterable[Document | Skipped], intake: Intake) -> None:
        """Read documents and store them, not encoded yet; those stored before an interruption are kept."""
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            self._progress("read", done, None)

        for batch in intake.batches(found, STORE_DOCUMENTS, self._limits.characters, count):
            if batch.stored or batch.replaced:
                dead = dead_rows(intake, batch.replaced)
                self._append([self.documents_segment(batch, intake.schema)], intake.schema, dead)

    def documents_segment(self, batch: Batch, schema: Schema) -> Segment:
        """Write a segment of documents that wait to be encoded."""
        draft = self.writer.draft()
        documents.write(draft / DOCUMENTS, batch.stored, schema.types)
        write_ids(draft, [one.document.id for one in batch.stored])
        characters = sum(len(one.document.text) for one in batch.stored)
        entry = {"documents": len(batch.stored), "passages": 0, "encoded": False, "whole": True}
        return self.writer.keep(draft, entry | {"characters": characters})

    def adopt(self, source: Path, segments: Sequence[OpenSegment], schema: dict[str, str]) -> None:
        """Take the live documents of another version's segments, of this collection or another, not encoded."""
        have = {s.name for s in self.draft.segments}
        for one in segments:
            # the name tells after an interruption what was taken already
            name = blake2b(f"{source.absolute()}/{one.entry.name}".encode(), digest_size=16).hexdigest()
            if name in have or not one.alive.any():
                continue
            draft = self.writer.folder / "tmp" / name
            draft.mkdir(parents=True)
            known = self._copied(one, one.alive, draft, schema)
            count = int(one.alive.sum())
            entry = {"documents": count, "passages": 0, "encoded": False, "whole": True}
            segment = self.writer.keep(draft, entry | {"characters": _share(one, count)}, known)
            self._append([segment], Schema(schema), {})

    def _copied(self, one: OpenSegment, keep: Bool, draft: Path, schema: dict[str, str]) -> Files:
        """Put the documents that are kept into a draft: linked where that is all of them. Return known hashes."""
        if keep.all():
            for part in (DOCUMENTS, IDS):
                durable.link_tree(one.folder / part, draft / part)
            return {path: entry for path, entry in one.entry.files.items() if path.split("/")[0] in (DOCUMENTS, IDS)}
        documents.merge(draft / DOCUMENTS, [(one.folder / DOCUMENTS, keep)], schema)
        write_ids(draft, one.ids(np.flatnonzero(keep)))
        return {}

    # -- stages

    def fit(self) -> None:
        """Fit the stages on a seeded sample of the documents, and store them.

        Raises RecipeError where there are too few passages.
        """
        if self.draft.stages:
            self.chain.restore(self.writer.folder / self.draft.stages)
            return
        if self.chain.needs_fit:
            sample = self._sample()
            self._progress("fit", 0, len(sample))
            self.chain.fit(sample, self.draft.seed)
            self._progress("fit", len(sample), len(sample))
        draft = self.writer.draft()
        self.chain.save(draft)
        path, files = self.writer.keep_stages(draft)
        self._step(stages=path, stage_files=files, dim=self.chain.dim)

    def _sample(self) -> list[str]:
        """Passages of the documents whose ids have the smallest seeded hashes: the same whatever the segments."""
        opened = [self._opened(segment) for segment in self.draft.segments]
        seed = str(self.draft.seed).encode()

        def hashed() -> Iterator[tuple[bytes, int, int]]:
            for number, one in enumerate(opened):
                for row, (id, alive) in enumerate(zip(one.ids(), one.alive, strict=True)):
                    if alive:
                        yield blake2b(id.encode(), digest_size=8, key=seed).digest(), number, row

        texts: list[str] = []
        chosen = heapq.nsmallest(FIT_PASSAGES, hashed())
        for start in range(0, len(chosen), documents.BATCH):
            some = chosen[start : start + documents.BATCH]
            found = {(n, row): document for n in {n for _, n, _ in some} for row, document in _rows(opened[n], n, some)}
            ordered = [found[n, row] for _, n, row in some]
            texts += _texts(ordered, self.chain.passages_of(ordered))
            if len(texts) >= FIT_PASSAGES:
                break
        return texts[:FIT_PASSAGES]

    # -- vectors

    def encode(self) -> None:
        """Encode every segment that waits; each becomes one segment or, where memory asks for it, several."""
        waiting = [segment for segment in self.draft.segments if not segment.encoded]
        total = sum(s.documents for s in self.draft.segments)
        done = sum(s.documents for s in self.draft.segments if s.encoded)
        self._progress("encode", done, total)
        for segment in waiting:
            one = self._opened(segment)
            made = self._encoded(one, lambda n: self._progress("encode", n, total), done)
            done += segment.documents
            others = tuple(s for s in self.draft.segments if s.name != segment.name)
            self._step(segments=(*others, *made))
            self._progress("encode", done, total)

    def _encoded(self, one: OpenSegment, told: Callable[[int], None], done: int) -> list[Segment]:
        keep = one.alive
        spans: list[list[Span]] = []
        lengths: list[int] = []
        for some in one.table.documents():
            spans += self.chain.passages_of(some)
            lengths += [len(document.text) for document in some]
        held = np.cumsum([self._held(s) if alive else 0 for s, alive in zip(spans, keep, strict=True)])
        groups = (held - 1) // self._limits.vector_bytes
        made = []
        for group in np.unique(groups[keep]):
            marked = keep & (groups == group)
            made.append(self._group(one, marked, spans, lengths, told, done))
            done += int(marked.sum())
        return made

    def _held(self, spans: Sequence[Span]) -> int:
        """The bytes that the vectors of some passages take."""
        return int(self.chain.held(np.array([span.end - span.start for span in spans], np.int64)).sum())

    def _group(
        self,
        one: OpenSegment,
        marked: Bool,
        spans: list[list[Span]],
        lengths: list[int],
        told: Callable[[int], None],
        done: int,
    ) -> Segment:
        rows = np.flatnonzero(marked)
        mine = [spans[row] for row in rows]
        vectors, texts, finished = list[Any](), list[str](), 0

        def encode() -> None:
            nonlocal texts
            vectors.append(self.chain.vectors(texts, "document"))
            texts = []
            told(done + finished)

        first = 0
        for some in one.table.documents():
            live = [(d, spans[first + i]) for i, d in enumerate(some) if marked[first + i]]
            first += len(some)
            for document, cut in live:
                texts += _texts([document], [cut])
                finished += 1
                if len(texts) >= _TEXTS:
                    encode()
        encode()
        draft = self.writer.draft()
        known = self._copied(one, marked, draft, self.draft.schema)
        whole = write_passages(draft, mine, [lengths[row] for row in rows])
        self.chain.build(concatenated(vectors)).save(draft / INDEX)
        entry = {"documents": len(rows), "passages": sum(map(len, mine)), "encoded": True, "whole": whole}
        return self.writer.keep(draft, entry | {"characters": _share(one, len(rows))}, known)

    # -- commits

    def finish(self, open_index: Opener) -> Manifest:
        """Fit, encode, commit, and merge what is worth merging: the collection is complete then."""
        self.fit()
        self.encode()
        self.publish(complete=True)
        compact(self.writer, open_index, self._limits)
        assert self.writer.manifest is not None
        return self.writer.manifest

    def add(self, batch: Batch, intake: Intake) -> None:
        """Store and encode some documents with the stages as they are, and commit them."""
        dead = dead_rows(intake, batch.replaced)
        new = [self.documents_segment(batch, intake.schema)] if batch.stored else []
        self._append(new, intake.schema, dead)
        self.encode()
        self.publish()

    def _append(self, new: list[Segment], schema: Schema, dead: dict[str, Bool]) -> None:
        self._step(segments=(*self.draft.segments, *new), schema=dict(schema.types), dead=dead)

    def _step(self, dead: dict[str, Bool] | None = None, **changes: Any) -> None:
        version = self.writer.next_version()
        tombstones = self.writer.bury(version, dead or {}, self.draft)
        self.draft = replace(self.draft, version=version, tombstones=tombstones, **changes)
        if self._each:
            self.publish()

    def publish(self, *, complete: bool | None = None) -> Manifest:
        """Commit the draft as it is."""
        spent = self._build_seconds + time.perf_counter() - self._began
        self.draft = replace(
            self.draft,
            version=self.writer.next_version(),
            complete=self.draft.complete if complete is None else complete,
            build_seconds=spent,
            encode_seconds=self._encode_seconds + self.chain.encode_seconds,
            overflow=self._overflow_now(),
        )
        self.draft = self.writer.publish(self.draft)
        return self.draft

    def _overflow_now(self) -> dict[str, int]:
        read = {name: count - self._read_before.get(name, 0) for name, count in self.chain.read().items()}
        return {name: self._overflow.get(name, 0) + read.get(name, 0) for name in self._overflow | read}

    def _opened(self, segment: Segment) -> OpenSegment:
        return OpenSegment(self.writer.folder, segment, self.draft.tombstones.get(segment.name))


def dead_rows(intake: Intake, numbers: Sequence[int]) -> dict[str, Bool]:
    """Return, by segment, the documents of the intake's snapshot that die."""
    dead: dict[str, Bool] = {}
    if intake.before is not None:
        sizes = {segment.name: segment.documents for segment in intake.before.manifest.segments}
        for number in numbers:
            name, row = intake.before.place(number)
            dead.setdefault(name, np.zeros(sizes[name], np.bool_))[row] = True
    return dead


def _rows(one: OpenSegment, number: int, chosen: Sequence[tuple[bytes, int, int]]) -> Iterator[tuple[int, Document]]:
    rows = [row for _, n, row in chosen if n == number]
    return zip(rows, one.table.get(rows), strict=True)


def _texts(some: Sequence[Document], spans: Sequence[Sequence[Span]]) -> list[str]:
    return [d.text[span.start : span.end] for d, cut in zip(some, spans, strict=True) for span in cut]


def _share(one: OpenSegment, count: int) -> int:
    """About how many of a segment's characters some of its documents hold."""
    return one.entry.characters * count // max(1, one.entry.documents)
