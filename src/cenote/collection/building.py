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

from cenote.arrays import Bool
from cenote.collection import documents
from cenote.collection.attributes import Schema
from cenote.collection.compaction import compact
from cenote.collection.encoding import Encoders, Waiting, copy_documents, one_by_one, share, texts_of
from cenote.collection.intake import Batch, Intake
from cenote.collection.manifest import Manifest, Segment
from cenote.collection.memory import Budget
from cenote.collection.segment import DOCUMENTS, OpenSegment, write_ids
from cenote.collection.snapshot import Opener
from cenote.collection.writer import Writer
from cenote.data.base import Document, Skipped
from cenote.recipe import Chain

Progress = Callable[[str, int, int | None], None]
"""Told the phase ("read", "fit", "encode"), how much is done, and how much there is where that is known."""

FIT_PASSAGES = 16_384
"""Passages that the stages are fitted on: enough for the covariance of a thousand dimensions."""
STORE_DOCUMENTS = 65_536


def nothing(phase: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


class Builder:
    """Builds the next version of a collection with one chain.

    draft is the manifest as it will be; it is published after every step when `each`, or once by `finish`. encoders:
    who encodes the segments, this process or others.
    """

    def __init__(
        self,
        writer: Writer,
        chain: Chain,
        draft: Manifest,
        limits: Budget,
        progress: Progress,
        *,
        each: bool,
        encoders: Encoders = one_by_one,
    ) -> None:
        self.writer, self.chain, self.draft = writer, chain, draft
        self._limits, self._progress, self._each, self._encoders = limits, progress, each, encoders
        self._began = time.perf_counter()
        self._encode_seconds = draft.encode_seconds
        self._build_seconds = draft.build_seconds
        self._overflow = dict(draft.overflow)

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
            known = copy_documents(one, one.alive, draft, schema)
            count = int(one.alive.sum())
            entry = {"documents": count, "passages": 0, "encoded": False, "whole": True}
            segment = self.writer.keep(draft, entry | {"characters": share(one, count)}, known)
            self._append([segment], Schema(schema), {})

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
            texts += texts_of(ordered, self.chain.passages_of(ordered))
            if len(texts) >= FIT_PASSAGES:
                break
        return texts[:FIT_PASSAGES]

    # -- vectors

    def encode(self) -> None:
        """Encode every segment that waits; each becomes one segment or, where memory asks for it, several."""
        total = sum(s.documents for s in self.draft.segments)
        done = sum(s.documents for s in self.draft.segments if s.encoded)

        def told(more: int) -> None:
            nonlocal done
            done += more
            self._progress("encode", done, total)

        told(0)
        waiting = [self._waiting(segment) for segment in self.draft.segments if not segment.encoded]
        for one, found in self._encoders(waiting, self.chain, told):
            self._encode_seconds += found.seconds
            self._overflow = {n: self._overflow.get(n, 0) + found.read.get(n, 0) for n in self._overflow | found.read}
            # where it stood: the order of rows is that of reading, whoever is done first
            made = [found.segments if s.name == one.segment.name else (s,) for s in self.draft.segments]
            self._step(segments=tuple(segment for some in made for segment in some))

    def _waiting(self, segment: Segment) -> Waiting:
        now = self.draft
        return Waiting(
            folder=self.writer.folder.absolute(),
            segment=segment,
            tombstones=now.tombstones.get(segment.name),
            schema=now.schema,
            recipe=now.recipe,
            stages=now.stages,
            stage_files=now.stage_files,
            vector_bytes=self._limits.vector_bytes,
        )

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
        done = self.draft.complete if complete is None else complete
        self.draft = replace(
            self.draft,
            version=self.writer.next_version(),
            complete=done,
            asked={} if done else self.draft.asked,
            build_seconds=spent,
            encode_seconds=self._encode_seconds,
            overflow=self._overflow,
        )
        self.draft = self.writer.publish(self.draft)
        return self.draft

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
    rows = np.array([row for _, n, row in chosen if n == number], np.int64)
    return zip(rows.tolist(), one.get(rows), strict=True)
