"""The value types that flow between stages: plain numpy arrays with their shapes said once.

`Vectors` is what an encoder gives: dense `ndarray (n, d)`, `Ragged` (many vectors a row), `Sparse`, or a dict of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32: TypeAlias = NDArray[np.float32]
Int64: TypeAlias = NDArray[np.int64]
Bool: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, packed: row i is `values[offsets[i]:offsets[i + 1]]`.

    values: (M, d); offsets: int64 (n + 1), from 0 to M, never falling.
    """

    values: NDArray[Any]
    offsets: Int64

    def __post_init__(self) -> None:
        offsets = self.offsets
        if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(self.values):
            raise ValueError(f"offsets must run from 0 to {len(self.values)}, one more than there are rows")
        if np.any(np.diff(offsets) < 0):
            raise ValueError("offsets must never fall")

    @classmethod
    def from_rows(cls, rows: Sequence[NDArray[Any]]) -> Ragged:
        """Pack arrays (n_i, d) into one; an empty list needs no width and gives values (0, 0)."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(np.concatenate(list(rows)) if len(rows) else np.zeros((0, 0), np.float32), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        row %= len(self)
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[row] for row in range(len(self)))

    def select(self, rows: Int64) -> Ragged:
        """Return the named rows, in the order given."""
        return (
            Ragged.from_rows([self[int(row)] for row in rows])
            if len(rows)
            else Ragged(self.values[:0], self.offsets[:1])
        )


@dataclass(frozen=True)
class Sparse:
    """Compressed sparse rows: row i holds `values[indptr[i]:indptr[i + 1]]` at columns `indices[...]`, ascending.

    indptr: int64 (n + 1); indices: int32 or int64 (nnz) in [0, dim); values: float32 (nnz).
    """

    indptr: Int64
    indices: NDArray[np.int32] | Int64
    values: Float32
    dim: int

    def __post_init__(self) -> None:
        if len(self.indptr) == 0 or self.indptr[0] != 0 or self.indptr[-1] != len(self.indices):
            raise ValueError(f"indptr must run from 0 to {len(self.indices)}, one more than there are rows")
        if len(self.indices) != len(self.values):
            raise ValueError(f"{len(self.indices)} indices but {len(self.values)} values")

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def select(self, rows: Int64) -> Sparse:
        """Return the named rows, in the order given."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        places = np.repeat(self.indptr[:-1][rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return Sparse(indptr, self.indices[places], self.values[places], self.dim)


Vectors: TypeAlias = NDArray[Any] | Ragged | Sparse | dict[str, Any]


def count(vectors: Vectors) -> int:
    """Return the rows of vectors; those of a dict are rows of the same things."""
    return count(next(iter(vectors.values()))) if isinstance(vectors, dict) else len(vectors)


def select(vectors: Any, rows: Int64) -> Any:
    """Return the named rows of vectors, in the order given, as vectors of the same form."""
    if isinstance(vectors, dict):
        return {name: select(part, rows) for name, part in vectors.items()}
    return vectors.select(rows) if isinstance(vectors, Ragged | Sparse) else vectors[rows]


def concatenated(parts: Sequence[Any]) -> Any:
    """Return the rows of several vectors of one form, one after another; of no part, ValueError."""
    if not parts:
        raise ValueError("parts is empty; give at least one")
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, dict):
        return {name: concatenated([part[name] for part in parts]) for name in first}
    if isinstance(first, Ragged | Sparse):
        starts = [part.offsets if isinstance(first, Ragged) else part.indptr for part in parts]
        ends = np.cumsum([0] + [int(one[-1]) for one in starts])
        joined = np.concatenate([starts[0], *(one[1:] + end for one, end in zip(starts[1:], ends[1:], strict=False))])
        values = np.concatenate([part.values for part in parts])
        if isinstance(first, Ragged):
            return Ragged(values, joined)
        return Sparse(joined, np.concatenate([part.indices for part in parts]), values, first.dim)
    return np.concatenate(parts)


@dataclass(frozen=True)
class Hits:
    """Search results, best first: ids int64 (q, k), scores float32 (q, k), counts int64 (q,).

    Greater scores are nearer; equal scores come lowest id first. Beyond `counts[i]` row i holds id -1, score -inf.
    """

    ids: Int64
    scores: Float32
    counts: Int64

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True)
class Bytes:
    """Where the bytes of an index are: `disk` is the size of its files, `resident` what must be held in memory."""

    payload: int = 0
    ids: int = 0
    structure: int = 0
    codec: int = 0
    attributes: int = 0
    tombstones: int = 0
    resident: int = 0
    disk: int = 0
    detail: dict[str, int] = field(default_factory=dict)

    @property
    def index(self) -> int:
        """Every array that a search reads, mapped or not: payload + ids + structure + codec + tombstones."""
        return self.payload + self.ids + self.structure + self.codec + self.tombstones

    def __add__(self, other: Bytes) -> Bytes:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "detail"}
        keys = self.detail.keys() | other.detail.keys()
        return Bytes(**sums, detail={k: self.detail.get(k, 0) + other.detail.get(k, 0) for k in sorted(keys)})
