"""Rows from Python: iterables of dicts, and tables of pandas, polars, Arrow and datasets, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cenote.data.base import Document
from cenote.data.rows import Row, twice

_BATCH = 1024


def table_rows(table: Any) -> Iterator[Row | Document]:
    """Yield the rows of a table, or the dicts (or Documents) of an iterable.

    Raises TypeError for anything else, ValueError where two columns have one name.
    """
    if hasattr(table, "read_next_batch"):  # an Arrow reader
        _check_columns(table.schema.names)
        for batch in table:
            yield from batch.to_pylist()
    elif hasattr(table, "to_batches"):  # an Arrow table
        _check_columns(table.schema.names)
        for batch in table.to_batches(max_chunksize=_BATCH):
            yield from batch.to_pylist()
    elif hasattr(table, "iloc"):  # pandas
        _check_columns(map(str, table.columns))
        for start in range(0, len(table), _BATCH):
            yield from table.iloc[start : start + _BATCH].to_dict("records")
    elif hasattr(table, "iter_rows"):  # polars
        yield from table.iter_rows(named=True)
    else:
        yield from _items(table)


def _check_columns(names: Iterable[str]) -> None:
    if (name := twice(names)) is not None:
        raise ValueError(f"the table has two columns {name!r}; rename one")


def _items(table: Any) -> Iterator[Row | Document]:
    if isinstance(table, Mapping | bytes) or not isinstance(table, Iterable):
        what = "one dict" if isinstance(table, Mapping) else type(table).__name__
        raise TypeError(f"sources must be paths, tables or iterables of dicts, not {what}")
    for number, row in enumerate(table):
        if isinstance(row, Document):
            yield _checked(row, number)
        elif isinstance(row, Mapping):
            yield dict(row)
        else:
            kind = type(row).__name__
            raise TypeError(f'row {number} must be a dict such as {{"id": …, "text": …}}, not {kind}')


def _checked(row: Document, number: int) -> Document:
    """Raise TypeError where a document made by hand has no text in the place of one."""
    for name, text in (("id", row.id), ("text", row.text), ("source", row.source)):
        if not isinstance(text, str):
            raise TypeError(f"row {number} is a Document whose {name} must be a string, not {type(text).__name__}")
    return row
