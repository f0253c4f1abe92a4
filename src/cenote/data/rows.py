"""Files with a document a row: jsonl, json, csv, tsv, parquet, and the corpus of a BEIR folder; read row by row.

A row is a dict. What is wrong with one row is an `Unreadable` in its place; what is wrong with the file ends it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from cenote.data.formats import suffix
from cenote.data.parsing import MOST
from cenote.errors import Unreadable

Row: TypeAlias = dict[str, Any]
_BATCH = 1024
_INT = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII)
_FLOAT = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?", re.ASCII)
"""Numbers as they are written, of as many digits as 64 bits hold; 007, 1e3 and nan are names of something."""


def rows(path: Path, texts: Collection[str] = ()) -> Iterator[Row | Unreadable]:
    """Yield the rows of a file by its suffix; the last may be an Unreadable that says why there are no more.

    texts: columns that stay text where a file does not say what its columns are.
    """
    kind = suffix(path.name)
    try:
        if kind in ("csv", "tsv"):
            yield from _csv(path, texts)
        else:
            yield from {"parquet": _parquet, "json": _json}.get(kind, _jsonl)(path)
    except UnicodeDecodeError:
        yield Unreadable(f"it is not UTF-8 (byte {_first_wrong_byte(path)}); convert it first", "not UTF-8")
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        yield Unreadable(f"it cannot be read to its end: {getattr(error, 'strerror', None) or error}")


def twice(names: Iterable[str]) -> str | None:
    """Return the first name that comes more than once, None where each is one of its own."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _opened(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _first_wrong_byte(path: Path) -> int:
    """Where a file that is not UTF-8 begins not to be: a text stream knows its place in a block only."""
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        while block := file.read(1 << 16):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return done - held + error.start
            done += len(block)
    return done - len(decoder.getstate()[0])


def _jsonl(path: Path) -> Iterator[Row | Unreadable]:
    with _opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MOST + 1), ""), 1):
            if len(line) > MOST:
                yield Unreadable(f"line {number} is longer than {MOST:,} characters", "too large")
                return
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Unreadable(f"line {number} is no JSON: {error}", "not a row")
                continue
            yield row if isinstance(row, dict) else Unreadable(f"line {number} is no JSON object", "not a row")


def _json(path: Path) -> Iterator[Row | Unreadable]:
    with _opened(path) as file:
        try:
            text = file.read(MOST + 1)
            if len(text) > MOST:
                yield Unreadable(f"it is longer than {MOST:,} characters; write a row a line, as .jsonl", "too large")
                return
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            yield Unreadable(f"it is no JSON: {error}")
            return
    for number, row in enumerate(found if isinstance(found, list) else [found]):
        yield row if isinstance(row, dict) else Unreadable(f"item {number} is no JSON object", "not a row")


def _csv(path: Path, texts: Collection[str]) -> Iterator[Row | Unreadable]:
    # a field may hold a whole document
    csv.field_size_limit(2**31 - 1)
    kinds = _column_kinds(path) | dict.fromkeys(texts, str)
    with _opened(path) as file:
        for row in _dict_rows(file, path):
            yield row if isinstance(row, Unreadable) else {k: kinds[k](v) if v else None for k, v in row.items()}


def _dict_rows(file: TextIO, path: Path) -> Iterator[dict[str, str] | Unreadable]:
    table = csv.reader(file, delimiter="\t" if suffix(path.name) == "tsv" else ",")
    found = next(table, [])
    # a spreadsheet leaves columns without a name behind: those after the first are called by their place
    names = [name if name or n == found.index("") else str(n + 1) for n, name in enumerate(found)]
    if (name := twice(names)) is not None:
        yield Unreadable(f"its first line names two columns {name!r}; rename one", "two columns of one name")
        return
    for row in table:
        if not row:
            continue
        if len(row) != len(names):
            reason = f"line {table.line_num} has {len(row)} fields where the first has {len(names)}"
            yield Unreadable(reason, "not a row")
        else:
            yield dict(zip(names, row, strict=True))


def _column_kinds(path: Path) -> dict[str, type]:
    """The narrowest of int, float and str that takes every value of a column."""
    kinds: dict[str, type] = {}
    with _opened(path) as file:
        for row in _dict_rows(file, path):
            for name, value in row.items() if isinstance(row, dict) else ():
                kind = kinds.setdefault(name, int)
                if value and kind is int and not (_INT.fullmatch(value) and -(2**63) <= int(value) < 2**63):
                    kind = kinds[name] = float
                if value and kind is float and not _FLOAT.fullmatch(value):
                    kinds[name] = str
    return kinds


def _parquet(path: Path) -> Iterator[Row | Unreadable]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            if (name := twice(file.schema_arrow.names)) is not None:
                yield Unreadable(f"it has two columns {name!r}; rename one", "two columns of one name")
                return
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        yield Unreadable(f"it is no parquet file that can be read: {error}")
