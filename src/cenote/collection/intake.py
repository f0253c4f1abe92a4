"""Documents coming in: what is new, what has changed, what is there already, and what cannot be stored."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from typing import Any

from cenote.collection.attributes import Schema, encodable
from cenote.collection.documents import Stored, content_hash, key_of
from cenote.collection.snapshot import Snapshot
from cenote.data.base import Document, Skipped

_TOGETHER = 512
"""Documents looked up at a time."""

OnSkip = Callable[[Skipped], None]


@dataclass
class Batch:
    """What goes into one commit.

    replaced: numbers of the documents that these take the place of. inputs: how many were read for it, unchanged and
    skipped ones too. last_id: of the last of these.
    """

    stored: list[Stored] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    inputs: int = 0
    last_id: str = ""
    characters: int = 0


@dataclass
class Intake:
    """Reads documents against what a snapshot holds; counts what it sees.

    schema grows with the documents. keys: filled with what the sources held, where `gone` is to be asked.
    """

    schema: Schema
    before: Snapshot | None
    on_skip: OnSkip | None = None
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    keys: set[int] | None = None

    def batches(
        self, found: Iterable[Document | Skipped], most: int, characters: int, progress: Callable[[int], None]
    ) -> Iterator[Batch]:
        """Yield batches of at most so many documents and, past the last one, so many characters.

        The last batch may hold inputs only: documents that are there already.
        """
        batch, waiting = Batch(), list[Document]()
        for one in found:
            batch.inputs += 1
            progress(1)
            if isinstance(one, Skipped):
                self._skip(one)
                continue
            batch.last_id = one.id
            waiting.append(one)
            batch.characters += len(one.text)
            full = len(batch.stored) + len(waiting) >= most or batch.characters >= characters
            if full or len(waiting) >= _TOGETHER:
                self._sort(waiting, batch)
                waiting = []
            if len(batch.stored) >= most or batch.characters >= characters:
                yield batch
                batch = Batch()
        self._sort(waiting, batch)
        if batch.inputs:
            yield batch

    def _skip(self, one: Skipped) -> None:
        self.skipped.append(one)
        if self.on_skip is not None:
            self.on_skip(one)

    def _sort(self, documents: list[Document], batch: Batch) -> None:
        """Put each document where it belongs."""
        numbers = self.before.find([d.id for d in documents]) if self.before is not None else [-1] * len(documents)
        there = [number for number in numbers if number >= 0]
        hashes = dict(zip(there, self.before.hashes(there), strict=True)) if self.before is not None else {}
        for document, number in zip(documents, numbers, strict=True):
            key = key_of(document.id)
            if self.keys is not None:
                self.keys.add(key)
            stored = self._stored(document, key)
            if stored is None:
                batch.characters -= len(document.text)
            elif number < 0:
                self.added += 1
                batch.stored.append(stored)
            elif hashes[number] == stored.hash:
                self.unchanged += 1
                batch.characters -= len(document.text)
            else:
                self.changed += 1
                batch.stored.append(stored)
                batch.replaced.append(number)

    def _stored(self, document: Document, key: int) -> Stored | None:
        try:
            for name, text in (("id", document.id), ("text", document.text), ("source", document.source)):
                if not encodable(text):
                    raise ValueError(f"its {name} holds half of a surrogate pair, which is no character")
            columns = self.schema.take(document.attributes)
            return Stored(document, columns, key, content_hash(document))
        except (ValueError, TypeError) as error:
            self._skip(Skipped(document.source or document.id, f"document {document.id!r}: {error}", "does not fit"))
            return None

    def gone(self, sources: Any) -> list[int]:
        """Return the documents that came from the same sources earlier and are not there any more.

        What was skipped is there, if unreadable, and is kept.
        """
        if self.before is None or self.keys is None:
            return []
        belongs = _from(sources)
        unreadable = {os.path.abspath(one.source) for one in self.skipped}
        unlisted = tuple(place + os.sep for place in unreadable if os.path.isdir(place))
        out, number = [], 0
        for segment in self.before.segments:
            for id, place, alive in zip(*segment.table.places(), segment.alive, strict=True):
                missing = alive and belongs(place) and place not in unreadable and key_of(id) not in self.keys
                if missing and not place.startswith(unlisted) and not _hidden(place):
                    out.append(number)
                number += 1
        return out


def _from(sources: Any) -> Callable[[str], bool]:
    """Whether a place belongs to some sources: is one of them, lies in one, or matches one with wildcards."""
    given = [sources] if isinstance(sources, str | Path) else sources
    paths = [str(one) for one in given if isinstance(one, str | Path)] if isinstance(given, list | tuple) else []
    memory = not paths or len(paths) < len(given)
    whole = [os.path.abspath(path) for path in paths]
    patterns = [re.compile(_pattern(path)) for path in whole if glob.has_magic(path)]
    roots = tuple(path.rstrip(os.sep) + os.sep for path in whole)
    return lambda place: (
        place in whole
        or bool(roots and place.startswith(roots))
        or any(pattern.fullmatch(place) for pattern in patterns)
        or (memory and not place)
    )


def _hidden(place: str) -> bool:
    """Whether nobody may see if a file is there, as in a folder without the right to enter it."""
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def _pattern(path: str) -> str:
    """A path with wildcards as a regular expression; `**` alone crosses folders."""
    out = ""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|.", path, re.DOTALL):
        known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        is_set = len(token) > 1 and token.startswith("[")
        # a set may be empty, as [z-a], and is none then for `glob` alone
        out += known.get(token) or (translate(token).removesuffix(r"\Z") if is_set else re.escape(token))
    return out
