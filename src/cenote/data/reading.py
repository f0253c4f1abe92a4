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
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, TypeAlias

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

Placed: TypeAlias = tuple[Document | Skipped, int | None]
"""What a file held, and the row it was in; None where the file is one document."""
Readers: TypeAlias = Callable[[Iterable[File], str | None], Iterator[tuple[File, Iterable[Placed]]]]
"""Who reads files, in their order: told the column of the text, yields each file with what it held."""


def read(
    sources: Any,
    *,
    text_column: str | None = None,
    limit: int | None = None,
    timeout: float = 60.0,
    workers: int | None = None,
    readers: Readers | None = None,
) -> Iterator[Document | Skipped]:
    """Yield the documents of some sources, in order.

    sources: a path, folder or pattern; an iterable of dicts or `Document`s; a table of pandas, polars, Arrow or
    datasets; or a list of these. text_column: the column that holds the text, where that is not `text`. limit: of
    documents. timeout: seconds a file may take that a worker parses. workers: how many; by default one a core, up to 8.
    readers: who reads the files instead of this process and its workers.

    Raises ValueError for a source that is not there, a named file without a column of text, and an id that comes twice;
    TypeError for what is no source.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    if timeout <= 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
    read_files = readers or ahead(workers or min(8, os.cpu_count() or 1), timeout)
    return _limited(_Reader(text_column, read_files).read(sources), limit)


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
    readers: Readers

    def read(self, sources: Any) -> Iterator[Document | Skipped]:
        places = Places()
        parts = _parts(sources)
        for in_files, some in groupby(enumerate(parts), lambda one: isinstance(one[1], str | Path)):
            if in_files:
                found = (files(part, several=len(parts) > 1) for _, part in some)
                yield from self._files(chain.from_iterable(found), places)
                continue
            for at, part in some:
                yield from self._table(part, f"rows-{at}" if at else "rows", places)

    def _files(self, found: Iterator[File], places: Places) -> Iterator[Document | Skipped]:
        for file, held in self.readers(found, self.text_column):
            number = places.file(str(file.path))
            for one, row in held:
                if isinstance(one, Document):
                    places.see(one.id, number, row)
                yield one

    def _table(self, table: Any, name: str, places: Places) -> Iterator[Document | Skipped]:
        number = places.file(name)
        for row, found in enumerate(table_rows(table)):
            if isinstance(found, Document):
                made: Document | Skipped | None = found
            else:
                made = _document(found, name, row, "", self.text_column, beir=False)
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


def ahead(count: int, timeout: float) -> Readers:
    """Return who reads files in this process, and has those of some formats parsed by `count` others, some ahead."""

    def read_all(found: Iterable[File], text_column: str | None) -> Iterator[tuple[File, Iterable[Placed]]]:
        waiting: deque[tuple[File, Future[Parsed] | None]] = deque()
        with Workers(count, timeout) as workers:
            for file in found:
                waiting.append((file, begun(file, workers)))
                if len(waiting) > _AHEAD * count:
                    first, parsed = waiting.popleft()
                    yield first, documents_of(first, parsed, text_column)
            while waiting:
                first, parsed = waiting.popleft()
                yield first, documents_of(first, parsed, text_column)

    return read_all


def begun(file: File, workers: Workers) -> Future[Parsed] | None:
    """Have a file parsed in a process of its own where its format asks for that; None where it does not."""
    return workers.parse(str(file.path)) if suffix(file.path.name) in ALONE else None


def documents_of(file: File, parsed: Future[Parsed] | None, text_column: str | None) -> Iterator[Placed]:
    """Yield the documents of one file, each with the row it is in.

    Raises ValueError for a named file without a column of text.
    """
    kind = suffix(file.path.name)
    if file.path.is_dir():
        yield Skipped(str(file.path), "this folder cannot be listed; allow it, or leave it out"), None
    elif kind in ROWS:
        yield from _rows(file, text_column)
    elif kind in PARSERS:
        try:
            one = parse(file.path) if parsed is None else parsed.result()
        except Unreadable as error:
            yield Skipped(str(file.path), error.reason, error.kind), None
            return
        if not one.text.strip():
            # a model gives a vector for nothing too, and it lies near every short question
            yield Skipped(str(file.path), "it holds no text", "empty"), None
            return
        yield Document(file.id, one.text, str(file.path), one.pages, one.headings, one.attributes), None
    else:
        reason = f"no reader for .{kind} files" if kind else "it has no suffix"
        yield Skipped(str(file.path), reason, "unknown type"), None


def _rows(file: File, text_column: str | None) -> Iterator[Placed]:
    beir = file.path.name in CORPUS
    for row, found in enumerate(rows(file.path, (text_column or TEXT, *IDS))):
        if isinstance(found, Unreadable):
            yield Skipped(str(file.path), found.reason, found.kind), row
            continue
        made = _document(found, file.id, row, str(file.path), text_column, beir=beir)
        if made is not None:
            yield made, row
            continue
        reason = f"it has no column {text_column or TEXT!r}; its columns are {', '.join(map(str, found))}"
        if file.named and row == 0:
            raise ValueError(f"{file.path}: {reason}; name the one with the text (--text-column)")
        yield Skipped(str(file.path), f"row {row}: {reason}" if row else reason, "no text"), row
        if row == 0:
            return


def _document(
    row: Row, name: str, at: int, source: str, text_column: str | None, *, beir: bool
) -> Document | Skipped | None:
    """Return a row as a document, None where it has no column of text."""
    column = text_column or TEXT
    if column not in row:
        return None
    text = row[column]
    if not isinstance(text, str):
        what = "has no text" if _missing(text) else f"has a {type(text).__name__} for a text"
        return Skipped(source or name, f"row {at} {what}", "no text")
    key = next((key for key in IDS if not _missing(row.get(key))), None)
    others = {str(k): v for k, v in row.items() if k not in (column, key)}
    if beir:
        title = row.get("title")
        text = f"{title} {text}" if isinstance(title, str) and title else text
        metadata = others.pop("metadata", None)
        others |= metadata if isinstance(metadata, Mapping) else {}
    try:
        attributes = {str(k): _plain(v) for k, v in others.items()}
    except (RecursionError, TypeError, ValueError) as error:
        reason = f"row {at} of {name}: an attribute is neither text nor number, and no JSON: {error}"
        return Skipped(source or "rows", reason, "does not fit")
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
