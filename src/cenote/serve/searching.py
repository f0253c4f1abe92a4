"""Searches of many clients as few searches of the collection, each on the newest version."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from cenote.collection import Collection, Hit, Info
from cenote.collection.manifest import current_name


@dataclass(frozen=True)
class Search:
    """What a client asks: see `Collection.search`."""

    queries: tuple[str, ...]
    k: int = 10
    where: str | None = None
    passages: bool = False


@dataclass(frozen=True)
class Found:
    """The hits of each question, and the version of the collection they are of."""

    hits: list[list[Hit]]
    version: int


class Searcher:
    """Answers batches of searches, in one thread.

    Those that differ in their questions only become one search: their texts are encoded, and the index read, once.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._current = ""
        self._moving = threading.Lock()

    def catch_up(self) -> None:
        """Move to the newest version, whoever wrote it; any thread may ask. Raises CorruptIndex where it is damaged."""
        current = current_name(self.collection.path)
        if current != self._current:
            with self._moving:
                self.collection.refresh()
            self._current = current

    def info(self) -> Info:
        """Return recipe, counts and bytes of the newest version; any thread may ask."""
        self.catch_up()
        with self._moving:  # the files of a version may go once it is left
            return self.collection.info()

    def answer(self, asked: Sequence[Search]) -> list[Found | Exception]:
        """Return what each asked for, or why not."""
        self.catch_up()
        alike: dict[tuple[int, str | None, bool], list[int]] = {}
        for number, one in enumerate(asked):
            alike.setdefault((one.k, one.where, one.passages), []).append(number)
        answers: dict[int, Found | Exception] = {}
        for numbers in alike.values():
            answers.update(zip(numbers, self._together([asked[number] for number in numbers]), strict=True))
        return [answers[number] for number in range(len(asked))]

    def _together(self, asked: Sequence[Search]) -> list[Found | Exception]:
        one = asked[0]
        try:
            queries = [query for each in asked for query in each.queries]
            hits = iter(self.collection.search(queries, one.k, where=one.where, passages=one.passages))
        except Exception as error:
            if len(asked) == 1 or not isinstance(error, ValueError):
                return [error] * len(asked)
            # the fault may be one client's, such as a question longer than the model reads
            return [self._together([each])[0] for each in asked]
        return [Found(list(islice(hits, len(each.queries))), self.collection.version) for each in asked]
