"""A collection: documents, a recipe and an index, in a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cenote.arrays import Vectors
from cenote.collection import compaction, manifest
from cenote.collection.attributes import Schema
from cenote.collection.beginning import asked, begun, empty, vacant
from cenote.collection.building import Builder, Progress, dead_rows, nothing
from cenote.collection.hits import Hit, hit_of
from cenote.collection.intake import Batch, Intake, OnSkip
from cenote.collection.manifest import Manifest
from cenote.collection.memory import Budget, budget
from cenote.collection.sizes import Info, measured
from cenote.collection.snapshot import Opener, Snapshot
from cenote.collection.writer import Writer
from cenote.data.base import Document, Skipped
from cenote.index.base import checked_k
from cenote.index.opening import open_index
from cenote.recipe import Chain, parse

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings

MEMORY = "2GiB"
COMMIT_EVERY = 10_000


@dataclass(frozen=True)
class Commit:
    """A durable step: inputs of this call done so far, the version that holds them, the id of the last."""

    committed: int
    version: int
    last_id: str


@dataclass(frozen=True)
class Report:
    """What a call did with its documents."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    pruned: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    version: int = 0
    resumed: bool = False


class MissingDocuments(ValueError):
    """Ids that a collection does not hold: `ids`."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = list(ids)
        shown = ", ".join(map(repr, self.ids[:10])) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
        super().__init__(f"no document {shown} in the collection; ids are spelt as a search prints them")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pass between processes with the ids."""
        return type(self), (self.ids,)


class Collection:
    """An opened collection, on one version of it: what others write is seen after `refresh`, what this writes at once.

    Several threads may search one object. Made by `create` and `open_collection`; close it, or use it in a `with`.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str | None,
        cache: Encodings | None,
        report: Report | None,
        opener: Opener = open_index,
    ) -> None:
        self.path = path
        self.report = report
        self._device, self._cache, self._opener = device, cache, opener
        self._lock, self._chains_lock = threading.RLock(), threading.Lock()
        self._chains: dict[str, Chain] = {}
        self._closed = False
        self._snapshot = Snapshot.newest(path, opener)
        if not self._snapshot.manifest.complete:
            self._snapshot.close()
            recipe = self._snapshot.manifest.recipe
            reason = f"{path} was interrupted while it was built"
            raise ValueError(f'{reason}; run the same index again to go on: --out {path} --recipe "{recipe}"')

    # -- what it is

    @property
    def recipe(self) -> str:
        """The recipe that made it, and makes what is added."""
        return self._snapshot.manifest.recipe

    @property
    def version(self) -> int:
        """The version that is read."""
        return self._snapshot.manifest.version

    @property
    def _opened(self) -> Snapshot:
        """The version that is read; raises ValueError once the collection is closed."""
        if self._closed:
            raise ValueError(f"{self.path} is closed; open it again with cenote.open")
        return self._snapshot

    @property
    def chain(self) -> Chain:
        """The stages, fitted."""
        return self._chain(self._snapshot.manifest)

    def _chain(self, of: Manifest) -> Chain:
        # of its own: an addition holds the other lock as long as it takes, and searches go on
        with self._chains_lock:
            if of.stages not in self._chains:
                folder = self.path / of.stages
                self._chains[of.stages] = Chain.load(of.recipe, folder, device=self._device, cache=self._cache)
            return self._chains[of.stages]

    def __len__(self) -> int:
        return len(self._snapshot)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._opened.find([id])[0] >= 0

    def ids(self) -> list[str]:
        """Return the ids of all documents, in the order they are stored."""
        return self._opened.ids()

    def info(self) -> Info:
        """Return counts, versions and bytes."""
        return measured(self._opened, self.chain.described_encoders())

    # -- reading

    def get(self, ids: Sequence[str]) -> list[Document]:
        """Return documents by id, in the order asked.

        Raises MissingDocuments naming those that are not there.
        """
        with self._reading() as snapshot:
            return snapshot.get(_numbers(snapshot, ids))

    @contextmanager
    def _reading(self) -> Iterator[Snapshot]:
        """Keep the version that is current, and let no other thread take its files away."""
        while True:
            snapshot = self._opened
            with snapshot.used():
                if snapshot is self._snapshot:
                    yield snapshot
                    return

    def search(
        self, texts: str | Sequence[str], k: int = 10, *, where: str | None = None, passages: bool = False
    ) -> list[list[Hit]]:
        """Return the k nearest documents of each text, best first, each by its best passage.

        where: a condition in SQL on `id`, `source`, `text` and the attributes. passages: the k nearest passages,
        several of a document included. Raises ValueError for an empty text, k < 1 and a condition that is none,
        TypeError for what is no text.
        """
        with self._reading() as snapshot:
            return self._hits(snapshot, self._queries(texts, snapshot), k, where, passages)

    def search_vectors(
        self, vectors: Vectors, k: int = 10, *, where: str | None = None, passages: bool = False
    ) -> list[list[Hit]]:
        """As `search`, for what `chain.vectors` makes of queries: (q, dim) of one dense leg."""
        with self._reading() as snapshot:
            return self._hits(snapshot, vectors, k, where, passages)

    def rank(self, texts: Sequence[str], depth: int) -> list[list[tuple[str, float]]]:
        """Return (id, score) of the `depth` nearest documents of each text, best first; no text is read."""
        with self._reading() as snapshot:
            found = snapshot.search(self._queries(texts, snapshot), checked_k(depth))
            ids = iter(snapshot.ids_of([one.document for row in found for one in row]))
        return [[(next(ids), one.score) for one in row] for row in found]

    def _queries(self, texts: str | Sequence[str], snapshot: Snapshot) -> Vectors:
        given = [texts] if isinstance(texts, str) else list(texts)
        for n, text in enumerate(given):
            if not isinstance(text, str):
                raise TypeError(f"question {n} must be a string, not {type(text).__name__}")
            if not text.strip():
                raise ValueError(f"question {n} is empty; ask something")
        queries: Vectors = self._chain(snapshot.manifest).vectors(given, "query")
        return queries

    def _hits(self, snapshot: Snapshot, queries: Vectors, k: int, where: str | None, passages: bool) -> list[list[Hit]]:
        found = snapshot.search(queries, checked_k(k), where, every=passages)
        scores = snapshot.leg_scores(queries, found)
        numbers = list(dict.fromkeys(one.document for row in found for one in row))
        documents = dict(zip(numbers, snapshot.get(numbers), strict=True))
        return [
            [
                hit_of(one, snapshot.span(one.passage), documents[one.document], legs)
                for one, legs in zip(row, told, strict=True)
            ]
            for row, told in zip(found, scores, strict=True)
        ]

    def verify(self) -> None:
        """Compare every byte of every file with its hash.

        Raises CorruptIndex naming the first that differs.
        """
        manifest.check(self.path, self._opened.manifest, every_byte=True)

    def refresh(self) -> bool:
        """Move to the newest version; return whether there was a newer one."""
        with self._lock:
            old = self._opened
            newest = Snapshot.newest(self.path, self._opener)
            if newest.manifest.version == self.version:
                newest.close()
                return False
            self._snapshot = newest
            old.close()
            return True

    # -- writing

    def add(
        self,
        sources: Any,
        *,
        commit_every: int = COMMIT_EVERY,
        prune: bool = False,
        text_column: str | None = None,
        limit: int | None = None,
        on_commit: Callable[[Commit], None] | None = None,
        on_skip: OnSkip | None = None,
        progress: Progress = nothing,
    ) -> Report:
        """Add documents, replace those that changed, skip those that did not (by content).

        Durable when it returns, and at every call of `on_commit` before. prune: delete what came from the same sources
        earlier and is gone. Raises ValueError for an id that comes twice, and for arguments out of range; Locked where
        another process is writing.
        """
        if commit_every < 1:
            raise ValueError(f"commit_every must be at least 1, not {commit_every}")
        from cenote.data import read

        limits = budget(MEMORY)
        with self._lock, Writer(self.path) as writer:
            self.refresh()
            before = self._snapshot.manifest
            intake = Intake(Schema(before.schema), self._snapshot, on_skip, keys=set() if prune else None)
            # what the intake compares with stays where it is until the end
            leave = {segment.name for segment in before.segments}
            done, read_so_far, pruned = 0, 0, 0

            def count(more: int) -> None:
                nonlocal read_so_far
                read_so_far += more
                progress("read", read_so_far, None)

            found = read(sources, text_column=text_column, limit=limit)
            for batch in intake.batches(found, commit_every, limits.characters, count):
                self._commit(writer, batch, intake, limits, progress)
                compaction.compact(writer, open_index, limits, leave=leave)
                done += batch.inputs
                if on_commit is not None and writer.manifest is not None:
                    on_commit(Commit(done, writer.manifest.version, batch.last_id))
            if prune and (gone := intake.gone(sources)):
                pruned = len(gone)
                self._commit(writer, Batch(replaced=gone), intake, limits, progress)
            self._settle(writer)
        counts = (intake.added, intake.changed, intake.unchanged, pruned)
        return Report(*counts, intake.skipped, self.version)

    def _commit(self, writer: Writer, batch: Batch, intake: Intake, limits: Budget, progress: Progress) -> None:
        if batch.stored or batch.replaced:
            assert writer.manifest is not None
            chain = self._chain(writer.manifest)
            Builder(writer, chain, writer.manifest, limits, progress, each=False).add(batch, intake)

    def _settle(self, writer: Writer, *, everything: bool = False) -> None:
        """Merge what is due after a commit, and move to the newest version."""
        compaction.compact(writer, open_index, budget(MEMORY), everything=everything)
        self.refresh()

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents by id, durably; return how many.

        Raises MissingDocuments naming those that are not there, and deletes none then.
        """
        with self._lock, Writer(self.path) as writer:
            self.refresh()
            numbers = _numbers(self._snapshot, ids)
            intake = Intake(Schema(self._snapshot.manifest.schema), self._snapshot)
            now = self._snapshot.manifest
            version = writer.next_version()
            tombstones = writer.bury(version, dead_rows(intake, numbers), now)
            writer.publish(replace(now, version=version, tombstones=tombstones))
            self._settle(writer)
        return len(set(numbers))

    def compact(self) -> Info:
        """Merge all segments, and leave dead documents behind."""
        with self._lock, Writer(self.path) as writer:
            self.refresh()
            self._settle(writer, everything=True)
        return self.info()

    def reindex(
        self,
        recipe: str,
        out: str | Path | None = None,
        *,
        cache: Encodings | None = None,
        memory: str | int = MEMORY,
        progress: Progress = nothing,
    ) -> Collection:
        """Build another recipe from the stored documents: here, as one new version, or as a new collection at `out`.

        Meanwhile the old version serves. An interrupted build at `out` is resumed. Returns the collection that holds
        the new recipe. Raises RecipeError for a recipe that cannot be built, ValueError where `out` is taken.
        """
        parsed = str(parse(recipe))
        chain = Chain(parsed, device=self._device, cache=cache if cache is not None else self._cache)
        place = self.path if out is None else Path(out)
        here = out is None or place.resolve() == self.path.resolve()
        vacant(place)
        with self._lock, Writer(place) as writer:
            if here:
                self.refresh()
            asks = {} if here else asked(self.path)
            now = None if here else begun(writer.manifest, place, parsed, asks, replaced=False)
            source = self._opened
            draft = now or empty(parsed, source.manifest.seed, asks)
            build = Builder(writer, chain, draft, budget(memory), progress, each=not here)
            if not draft.stages:
                build.adopt(self.path, source.segments, source.manifest.schema)
            build.finish(open_index)
            if here:
                self.refresh()
                return self
        return Collection(place, device=self._device, cache=cache or self._cache, report=None)

    # -- the end

    def close(self) -> None:
        """Let go of the files: nothing can be asked of it any more. A search that is going on ends first."""
        self._closed = True
        self._snapshot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'Collection("{self.path}", {len(self):,} documents, "{self.recipe}")'


def open_collection(
    path: str | Path, *, device: str | None = None, cache: Encodings | None = None, opener: Opener = open_index
) -> Collection:
    """Open a collection. The encoder is loaded at the first search. opener: what opens the index of all segments.

    Raises ValueError where there is none, or one whose building was interrupted; CorruptIndex where a file is damaged.
    """
    return Collection(Path(path), device=device, cache=cache, report=None, opener=opener)


def _numbers(snapshot: Snapshot, ids: Sequence[str]) -> list[int]:
    if isinstance(ids, str) or not all(isinstance(id, str) for id in ids):
        raise TypeError("ids must be a list of strings")
    found = snapshot.find(ids)
    missing = [id for id, number in zip(ids, found, strict=True) if number < 0]
    if missing:
        raise MissingDocuments(missing)
    return found
