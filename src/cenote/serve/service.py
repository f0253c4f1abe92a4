"""What is served: one collection, opened once to be read and once to be written, and the threads that do the work.

Reading and writing are two openings because adding holds its own for as long as it encodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from cenote.collection import Info, open_collection
from cenote.collection.snapshot import Opener
from cenote.index.opening import open_index
from cenote.serve import explaining, limits
from cenote.serve.batching import Batcher
from cenote.serve.encoding import Encode, Encoded, encoded
from cenote.serve.explaining import Contribution
from cenote.serve.metrics import Metrics
from cenote.serve.searching import Found, Search, Searcher
from cenote.serve.writing import Add, Change, Delete, Writer, Written

T = TypeVar("T")


class Service:
    """Answers searches, encodings and changes; use it in a `with`. opener: what opens the index that is searched.

    Raises ValueError where there is no collection at `path`, CorruptIndex where it is damaged.
    """

    def __init__(self, path: str | Path, opener: Opener = open_index) -> None:
        self.metrics = Metrics()
        self._reading, self._writing = open_collection(path, opener=opener), open_collection(path)
        self._searcher = Searcher(self._reading)
        writer = Writer(self._writing)
        self._searches: Batcher[Search, Found] = Batcher(
            "search", self._search, size=lambda one: len(one.queries), together=limits.QUERIES
        )
        self._changes: Batcher[Change, Written] = Batcher(
            "write", writer.answer, size=_documents, together=limits.DOCUMENTS
        )
        self._works: Batcher[Callable[[], Any], Any] = Batcher("encode", _called)
        # two, as each thread keeps memory of its own for as long as it lives
        self._clerks = ThreadPoolExecutor(2, thread_name_prefix="cenote-json")

    def warm(self) -> None:
        """Load the model, so that the first client need not wait for it. Raises what a search would."""
        self._searcher.catch_up()
        self._reading.search("…", 1)
        self._count()

    async def state(self) -> tuple[int, int]:
        """Return the newest version and its documents. Raises CorruptIndex where it is damaged."""

        def newest() -> tuple[int, int]:
            self._searcher.catch_up()
            return self._reading.version, len(self._reading)

        return await self.aside(newest)

    @property
    def name(self) -> str:
        """The name of the collection's folder."""
        return self._reading.path.resolve().name

    def _search(self, asked: Sequence[Search]) -> list[Found | Exception]:
        self.metrics.batch.observe(sum(len(one.queries) for one in asked))
        answers = self._searcher.answer(asked)
        self._count()
        return answers

    def _count(self) -> None:
        self.metrics.documents.set(len(self._reading))
        self.metrics.version.set(self._reading.version)

    async def search(self, asked: Search) -> Found:
        """Search, with whatever else is asked now, on the newest version."""
        return await self._searches.ask(asked)

    async def explain(self, query: str, passages: Sequence[str]) -> list[list[Contribution]]:
        """Say which words of each passage carried its score."""
        return await self._work(lambda: explaining.explain(self._reading.chain, query, passages))

    async def encode(self, asked: Encode) -> Encoded:
        """Encode texts, one request after another."""
        return await self._work(lambda: encoded(self._reading, asked))

    async def info(self) -> Info:
        """Return recipe, counts and bytes."""
        return await self._work(self._searcher.info)

    async def _work(self, work: Callable[[], T]) -> T:
        found: T = await self._works.ask(work)
        return found

    async def aside(self, work: Callable[[], T]) -> T:
        """Call what would hold up the loop, such as writing a large answer as JSON."""
        return await asyncio.get_running_loop().run_in_executor(self._clerks, work)

    async def add(self, asked: Add) -> Written:
        """Add documents, durably. What was begun is finished, whether or not the client waits."""
        return await asyncio.shield(self._changes.ask(asked))

    async def delete(self, id: str) -> Written:
        """Delete a document, durably. Raises MissingDocuments where there is none."""
        return await asyncio.shield(self._changes.ask(Delete(id)))

    def close(self) -> None:
        """Finish what was asked, and let go of the files."""
        for batcher in (self._changes, self._works, self._searches):
            batcher.close()
        self._clerks.shutdown()
        self._reading.close()
        self._writing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _documents(change: Change) -> int:
    return len(change.documents) if isinstance(change, Add) else 1


def _called(works: Sequence[Callable[[], Any]]) -> list[Any]:
    answers = []
    for work in works:
        try:
            answers.append(work())
        except Exception as error:
            answers.append(error)
    return answers
