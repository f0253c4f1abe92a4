"""A replica: a process of a Ray cluster that maps some segments of a collection and answers for their rows.

It holds no state of its own: a question names the segments it is about, so that one that was started again, or has
never heard of a commit, answers like any other.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from cenote.index.base import Index
from cenote.index.opening import open_index
from cenote.index.sharded import Question, answer

_VERSIONS = 2
"""Openings kept: searches of one version end while those of the next begin."""


class Replica:
    """folder: the collection's, in storage that all machines share."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._opened: OrderedDict[str, Index] = OrderedDict()

    def answer(self, opening: str, segments: tuple[str, ...], question: Question) -> Any:
        """Return the hits or the scores of a question about some segments, joined in this order.

        opening: names the version, whose rows score alike in all its questions.
        """
        return answer(self._index(opening, segments), question)

    def _index(self, opening: str, segments: tuple[str, ...]) -> Index:
        if opening not in self._opened:
            # relative to the collection, where every machine finds them
            self._opened[opening] = open_index([self._folder / name for name in segments])
        self._opened.move_to_end(opening)
        while len(self._opened) > _VERSIONS:
            self._opened.popitem(last=False)
        return self._opened[opening]
