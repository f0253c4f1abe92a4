"""The protocol of an index: arrays in, row numbers out.

An index knows nothing of documents, texts or the user's ids. Rows are numbered from 0 in the order given; over several
folders they continue from one folder to the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Bool, Bytes, Float32, Hits, Int64


class Index(ABC):
    """Rows that can be searched. Greater scores are nearer; equal scores come lowest row first."""

    @abstractmethod
    def __len__(self) -> int: ...

    def living(self, alive: Bool | None) -> None:
        """Say which rows (n,) live, None for all: an engine that counts rows, as for how rare a word is, counts these.

        What may be found is said by `keep`, search by search. Raises ValueError for a wrong length.
        """

    def leg_scores(self, queries: Any, ids: Int64) -> dict[str, Float32]:
        """Return what each leg of a fused index scores rows ids (q, c), by its name; of others nothing."""
        return {}

    def known(self, queries: Any) -> Any:
        """Return what scores of queries depend on besides the row itself, as how rare a word is; None for nothing."""
        return None

    def told(self, known: Any) -> None:
        """Take what an index of more rows, of which these are some, knows: scores are then what they are there."""

    def parts(self) -> dict[str, Index]:
        """Return the indexes of the same rows that this one is made of, by name; nothing where it scores itself."""
        return {}

    def over(self, parts: Mapping[str, Index]) -> Index:
        """Return this index made of others than its own `parts`."""
        return self

    @abstractmethod
    def search(self, queries: Any, k: int = 10, *, keep: Bool | None = None) -> Hits:
        """Return the k best rows of each query, among those `keep` (n,) marks where it is given.

        Raises TypeError or ValueError for k < 1, queries of the wrong type, width or with NaN, or a `keep` of the
        wrong length. Fewer than k rows: the rest is filled (id -1, score -inf) and `counts` says how many are real.
        """

    @abstractmethod
    def score(self, queries: Any, ids: Int64) -> Float32:
        """Return the score of rows ids (q, c) for each query, float32 (q, c); id -1 gives -inf."""

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write the arrays, little-endian and 64-byte aligned, into a folder that does not exist yet or is empty."""

    @classmethod
    @abstractmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Self:
        """Memory-map one folder, or several as one index."""

    @abstractmethod
    def nbytes(self) -> Bytes:
        """Return where the bytes are; the sums equal those of the arrays held."""

    @abstractmethod
    def select(self, keep: Bool) -> Self:
        """Return a new index of the rows that `keep` (n,) marks, in order, without re-encoding."""


def checked_keep(keep: NDArray[Any], rows: int) -> Bool:
    """Return keep; raises ValueError unless it is one boolean a row."""
    keep = np.asarray(keep)
    if keep.dtype != np.bool_ or keep.shape != (rows,):
        raise ValueError(f"keep must be {rows} booleans, one a row, not {keep.dtype} {keep.shape}")
    return keep


def checked_k(k: int) -> int:
    """Return k; raises TypeError unless it is a whole number, ValueError below 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k must be a whole number, not {k!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return int(k)
