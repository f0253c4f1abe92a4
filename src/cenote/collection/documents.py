"""Documents of a segment in a Lance table: written once, read by row number, filtered by SQL.

    id | source | place | key | hash | text | pages | headings | the user's attributes

`place` is the absolute path a document was read from, `key` the 64-bit hash of its id, `hash` that of its content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Bool, Int64
from cenote.collection.attributes import OWN, VISIBLE, plain
from cenote.collection.faults import fault, shown
from cenote.collection.filters import fitted
from cenote.data.base import Document
from cenote.errors import CorruptIndex

# says "no existing dataset, it will be created" of every new table
os.environ.setdefault("LANCE_LOG", "error")

_UNTOLD = ("place", "key", "hash")
"""Columns that no document is made of; reading a few rows of one takes a quarter of a millisecond."""
BATCH = 2048
"""Documents read at a time where all of them pass through."""


@dataclass(frozen=True)
class Stored:
    """A document with its attributes by column, ready to be written."""

    document: Document
    columns: dict[str, Any]
    key: int
    hash: bytes


def key_of(id: str) -> int:
    """Return the 64-bit hash of an id."""
    return int.from_bytes(blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def content_hash(document: Document) -> bytes:
    """Return 16 bytes that change whenever anything of a document but its id and its place does."""
    attributes = {str(name): plain(value) for name, value in document.attributes.items()}
    what = [document.text, document.pages, document.headings, attributes]
    return blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=16).digest()


def place_of(source: str) -> str:
    """Return the absolute path of a source; "" where it is no file."""
    return os.path.abspath(source) if source and os.path.exists(source) else ""


def write(folder: Path, documents: Sequence[Stored], types: dict[str, str]) -> None:
    """Write documents as a new table."""
    import pyarrow as pa

    rows = [one.document for one in documents]
    own: dict[str, list[Any]] = {
        "id": [row.id for row in rows],
        "source": [row.source for row in rows],
        "place": [place_of(row.source) for row in rows],
        "key": [one.key for one in documents],
        "hash": [one.hash for one in documents],
        "text": [row.text for row in rows],
        "pages": [json.dumps(row.pages) if row.pages else None for row in rows],
        "headings": [json.dumps(row.headings) if row.headings else None for row in rows],
    }
    users = {name: [_as(one.columns.get(name), kind) for one in documents] for name, kind in types.items()}
    _write(folder, pa.table(own | users, schema=_schema(types)), _schema(types))


def merge(folder: Path, tables: Sequence[tuple[Path, Bool]], types: dict[str, str]) -> None:
    """Write the rows of several tables that are kept, one table after another, as a new table."""
    import pyarrow as pa

    schema = _schema(types)

    def batches() -> Iterator[Any]:
        for path, keep in tables:
            at = 0
            for batch in _open(path).to_batches(batch_size=BATCH):
                kept = batch.filter(pa.array(keep[at : at + len(batch)]))
                at += len(batch)
                if len(kept):
                    yield pa.RecordBatch.from_arrays([_column(kept, field) for field in schema], schema=schema)

    _write(folder, pa.RecordBatchReader.from_batches(schema, batches()), schema)


class Table:
    """An opened table of documents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._table: Any = None

    @property
    def _dataset(self) -> Any:
        if self._table is None:
            self._table = _open(self.folder)
        return self._table

    def get(self, rows: Sequence[int], ids: Sequence[str]) -> list[Document]:
        """Return the documents of some rows, in the order asked; their ids are known from elsewhere."""
        found = self._rows(rows, [name for name in self._told if name != "id"])
        return [_document(row | {"id": id}) for row, id in zip(found, ids, strict=True)]

    @cached_property
    def _told(self) -> list[str]:
        """The columns that a document is made of."""
        with _damage(self.folder):
            return [name for name in self._dataset.schema.names if name not in _UNTOLD]

    def _rows(self, rows: Sequence[int], columns: list[str]) -> list[dict[str, Any]]:
        if not len(rows):
            return []
        with _damage(self.folder):
            found: list[dict[str, Any]] = self._dataset.take([int(row) for row in rows], columns=columns).to_pylist()
        return found

    def documents(self) -> Iterator[list[Document]]:
        """Yield all documents, some at a time."""
        with _damage(self.folder):
            for batch in self._dataset.to_batches(batch_size=BATCH, columns=self._told):
                yield [_document(row) for row in batch.to_pylist()]

    def keys(self) -> NDArray[np.uint64]:
        """Return the key of every row."""
        with _damage(self.folder):
            found: NDArray[np.uint64] = self._dataset.to_table(columns=["key"])["key"].to_numpy()
        return found

    def hashes(self, rows: Sequence[int]) -> list[bytes]:
        """Return the content hashes of some rows."""
        return [row["hash"] for row in self._rows(rows, ["hash"])]

    def places(self) -> tuple[list[str], list[str]]:
        """Return the id and the place of every row."""
        with _damage(self.folder):
            found = self._dataset.to_table(columns=["id", "place"])
        return found["id"].to_pylist(), found["place"].to_pylist()

    def matching(self, where: str, types: dict[str, str]) -> Int64:
        """Return the rows that a condition holds for, ascending.

        types: every attribute of the collection; one this table lacks is NULL here. Raises ValueError for a condition
        that is none, or names what is no column.
        """
        kinds = {kind: name for name, kind in _kinds().items()}
        here = {field.name: kinds.get(field.type, "") for field in self._dataset.schema}
        condition = fitted(where, types, here)
        try:
            found = self._dataset.scanner(columns=[], filter=f"({condition}\n)", with_row_id=True).to_table()
        except RuntimeError:
            # what it parses but has not built, such as the placeholder in `id = :1`, ends its own thread
            raise ValueError(
                f"where={shown(where)} is SQL that filters here cannot evaluate; write it otherwise"
            ) from None
        except (ValueError, OSError) as error:
            # behind what it says stands the place in its own source
            said = str(error).split(", /")[0]
            raise ValueError(fault(where, said, {**dict.fromkeys(VISIBLE, "string"), **types})) from None
        return np.sort(found["_rowid"].to_numpy().astype(np.int64))


def _document(row: dict[str, Any]) -> Document:
    return Document(
        id=row["id"],
        text=row["text"],
        source=row["source"],
        pages=tuple((first, page) for first, page in json.loads(row["pages"] or "[]")),
        headings=tuple((first, level, title) for first, level, title in json.loads(row["headings"] or "[]")),
        attributes={name: value for name, value in row.items() if name not in OWN},
    )


def _kinds() -> dict[str, Any]:
    """The Arrow type of every column type."""
    import pyarrow as pa

    scalars = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    return scalars | {f"list<{name}>": pa.list_(kind) for name, kind in scalars.items()}


def _schema(types: dict[str, str]) -> Any:
    import pyarrow as pa

    kinds = {**dict.fromkeys(OWN, pa.string()), "key": pa.uint64(), "hash": pa.binary(16)}
    return pa.schema([*kinds.items(), *((name, _kinds()[kind]) for name, kind in types.items())])


def _as(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "double":
        return float(value)
    return [None if one is None else float(one) for one in value] if kind == "list<double>" else value


def _column(batch: Any, field: Any) -> Any:
    import pyarrow as pa

    index = batch.schema.get_field_index(field.name)
    return pa.nulls(len(batch), field.type) if index < 0 else batch.column(index).cast(field.type)


def _write(folder: Path, data: Any, schema: Any) -> None:
    import lance

    # one file a table, so that the row id is the row number
    lance.write_dataset(data, _uri(folder), schema=schema, mode="create", max_rows_per_file=2**31 - 1)


def _uri(folder: Path) -> str:
    # Lance takes a relative `a:b` for a store named a, and `~` for the user's home
    return os.path.abspath(folder)


def _open(folder: Path) -> Any:
    import lance

    try:
        return lance.dataset(_uri(folder))
    except (ValueError, OSError) as error:
        raise CorruptIndex(folder, f"it cannot be opened: {str(error).split(', /')[0]}") from None


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Say which table it was where Lance fails to read it."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise CorruptIndex(folder, f"it cannot be read: {str(error).split(', /')[0]}") from None
