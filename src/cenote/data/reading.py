"""Documents from whatever the user has, in its order, one after another.

    folders, files, patterns   -> a document a file, or a row of a file that holds rows
    iterables of dicts, tables -> a document a row

What cannot be read comes as `Skipped`, and ends nothing.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cenote.data.base import Document, Skipped
from cenote.data.files import CORPUS, File, files
from cenote.data.formats import ALONE, PARSERS, ROWS, suffix
from cenote.data.parallel import Workers
from cenote.data.parsed import Parsed
from cenote.data.parsing import parse
from cenote.data.places import Places
from cenote.data.rows import Row, rows
from cenote.data.tables import table_rows
from cenote.errors import Unreadable

TEXT, IDS = "text", ("_id", "id")
_MISSING = ("NaTType", "NAType")
_AHEAD = 8
"""Files handed to each worker before the first is asked for."""


def read(
    sources: Any,
    *,
    text_column: str | None = None,
    limit: int | None = None,
    timeout: float = 60.0,
    workers: int | None = None,
) -> Iterator[Document | Skipped]:
    """Yield the documents of some sources, in order.

    sources: a path, folder or pattern; an iterable of dicts or `Document`s; a table of pandas, polars, Arrow or
    datasets; or a list of these. text_column: the column that holds the text, where that is not `text`. limit: of
    documents. timeout: seconds a file may take that a worker parses. workers: how many; by default one a core, up to 8.

    Raises ValueError for a source that is not there, a named file without a column of text, and an id that comes twice;
    TypeError for what is no source.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    if timeout <= 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
    return _limited(_Reader(text_column, timeout, workers or min(8, os.cpu_count() or 1)).read(sources), limit)


def _limited(found: Iterator[Document | Skipped], limit: int | None) -> Iterator[Document | Skipped]:
    done = 0
    for one in found:
        yield one
        done += isinstance(one, Document)
        if done == limit:
            return


@dataclass
class _Reader:
    text_column: str | None
    timeout: float
    count: int

    def read(self, sources: Any) -> Iterator[Document | Skipped]:
        places = Places()
        with ExitStack() as stack:
            workers: list[Workers] = []

            def parse_alone(path: str) -> Future[Parsed]:
                if not workers:
                    workers.append(stack.enter_context(Workers(self.count, self.timeout)))
                return workers[0].parse(path)

            parts = _parts(sources)
            for at, part in enumerate(parts):
                if isinstance(part, str | Path):
                    yield from self._files(files(part, several=len(parts) > 1), places, parse_alone)
                else:
                    yield from self._table(part, f"rows-{at}" if at else "rows", places)

    def _files(
        self, found: Iterator[File], places: Places, parse_alone: Callable[[str], Future[Parsed]]
    ) -> Iterator[Document | Skipped]:
        """Parse files some steps ahead of the one that is asked for."""
        waiting: deque[tuple[File, Future[Parsed] | None]] = deque()
        for file in found:
            alone = suffix(file.path.name) in ALONE
            waiting.append((file, parse_alone(str(file.path)) if alone else None))
            if len(waiting) > _AHEAD * self.count:
                yield from self._file(*waiting.popleft(), places)
        while waiting:
            yield from self._file(*waiting.popleft(), places)

    def _file(self, file: File, parsed: Future[Parsed] | None, places: Places) -> Iterator[Document | Skipped]:
        kind = suffix(file.path.name)
        if kind in ROWS:
            yield from self._rows(file, places)
        elif kind in PARSERS:
            try:
                one = parse(file.path) if parsed is None else parsed.result()
            except Unreadable as error:
                yield Skipped(str(file.path), error.reason, error.kind)
                return
            places.see(file.id, places.file(str(file.path)), None)
            yield Document(file.id, one.text, str(file.path), one.pages, one.headings, one.attributes)
        else:
            yield Skipped(
                str(file.path), f"no reader for .{kind} files" if kind else "it has no suffix", "unknown type"
            )

    def _rows(self, file: File, places: Places) -> Iterator[Document | Skipped]:
        number, beir = places.file(str(file.path)), file.path.name in CORPUS
        for row, found in enumerate(rows(file.path, (self.text_column or TEXT, *IDS))):
            if isinstance(found, Unreadable):
                yield Skipped(str(file.path), found.reason, found.kind)
                continue
            made = self._document(found, file.id, row, str(file.path), beir=beir)
            if made is None:
                reason = f"it has no column {self.text_column or TEXT!r}; its columns are {', '.join(map(str, found))}"
                if file.named and row == 0:
                    raise ValueError(f"{file.path}: {reason}; name the one with the text (--text-column)")
                yield Skipped(str(file.path), f"row {row}: {reason}" if row else reason, "no text")
                if row == 0:
                    return
                continue
            if isinstance(made, Document):
                places.see(made.id, number, row)
            yield made

    def _table(self, table: Any, name: str, places: Places) -> Iterator[Document | Skipped]:
        number = places.file(name)
        for row, found in enumerate(table_rows(table)):
            if isinstance(found, Document):
                made: Document | Skipped | None = found
            else:
                made = self._document(found, name, row, "", beir=False)
            if made is None:
                columns = ", ".join(map(str, found))  # type: ignore[arg-type]
                reason = f"row {row} has no column {self.text_column or TEXT!r}; its columns are {columns}"
                if row == 0:
                    raise ValueError(f"{reason}; name the one with the text (text_column=)")
                yield Skipped(name, reason, "no text")
                continue
            if isinstance(made, Document):
                places.see(made.id, number, row)
            yield made

    def _document(self, row: Row, name: str, at: int, source: str, *, beir: bool) -> Document | Skipped | None:
        """Return a row as a document, None where it has no column of text."""
        column = self.text_column or TEXT
        if column not in row:
            return None
        text = row[column]
        if not isinstance(text, str):
            what = "missing" if _missing(text) else f"a {type(text).__name__}"
            return Skipped(source or "rows", f"row {at} of {name}: its text is {what}, not a string", "no text")
        key = next((key for key in IDS if not _missing(row.get(key))), None)
        others = {str(k): v for k, v in row.items() if k not in (column, key)}
        if beir:
            title = row.get("title")
            text = f"{title} {text}" if isinstance(title, str) and title else text
            metadata = others.pop("metadata", None)
            others |= metadata if isinstance(metadata, Mapping) else {}
        attributes = {str(k): _plain(v) for k, v in others.items()}
        return Document(f"{name}#{at}" if key is None else str(row[key]), text, source, attributes=attributes)


def _parts(sources: Any) -> list[Any]:
    """The sources of an argument: a list of dicts is one, a list of paths several."""
    if isinstance(sources, str | Path):
        return [sources]
    if isinstance(sources, list | tuple):
        if not sources:
            return []
        if all(isinstance(one, Mapping | Document) for one in sources):
            return [sources]
        if not any(isinstance(one, Mapping | Document) for one in sources):
            return list(sources)
        raise TypeError("sources mixes rows with other sources; put the rows into a list of their own")
    return [sources]


def _missing(value: Any) -> bool:
    # pandas has two more
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in _MISSING


def _plain(value: Any) -> Any:
    """A value as an attribute: what is neither text, number, truth value nor a list of these becomes JSON."""
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        value = value.tolist()
    if _missing(value):
        return None
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple) and all(isinstance(one, str | bool | int | float) for one in value):
        return list(value)
    return json.dumps(value, ensure_ascii=False, default=str)
