"""Rerank: the first N of an index are scored again from a finer copy.

The first pass finds max(k, N) rows; the N best get the score of the copy and its order. What is asked for beyond N
keeps its earlier order behind them: its scores are shifted, all by the same amount, to lie just below the last
re-scored one, so that scores still fall along the row. Reranks chain: the first pass may be one itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cenote import registry
from cenote.arrays import Bool, Bytes, Float32, Hits, Int64
from cenote.compress.base import Codec
from cenote.index import store
from cenote.index.base import Index, checked_k
from cenote.kernels.ranking import best


class Rerank:
    """The stage `rerank [codec=float32] [N=100]`: the codec of the finer copy, and how many rows it re-scores.

    Raises ValueError for N < 1, UnknownWord for a codec that is none.
    """

    def __init__(self, codec: str = "float32", N: int = 100) -> None:
        if N < 1:
            raise ValueError(f"N must be at least 1, not {N}")
        self.codec, self.N = codec, N
        self.made: Codec = registry.make(codec, ("codec",))

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Reranked:
        """Open what `Reranked.save` wrote."""
        return Reranked.open(folders)


def stages(rerank: str | Rerank | Sequence[str | Rerank] | None) -> list[Rerank]:
    """Return the reranks that an argument names: None, a codec word, a Rerank, or several of these."""
    if rerank is None:
        return []
    several = [rerank] if isinstance(rerank, str | Rerank) else list(rerank)
    return [Rerank(one) if isinstance(one, str) else one for one in several]


class Reranked(Index):
    """An index, and a finer copy of its rows that has the last word on the N best."""

    def __init__(self, first: Index, fine: Index, N: int, folders: Sequence[Path] = ()) -> None:
        if len(first) != len(fine):
            raise ValueError(f"the first pass has {len(first)} rows and the copy {len(fine)}; they must be the same")
        self.first, self.fine, self.N = first, fine, N
        self._folders = list(folders)

    def __len__(self) -> int:
        return len(self.first)

    def parts(self) -> dict[str, Index]:
        """Return the first pass and the copy; see `Index.parts`."""
        return {"first": self.first, "fine": self.fine}

    def over(self, parts: Mapping[str, Index]) -> Reranked:
        """Return the same rerank over others; see `Index.over`."""
        return type(self)(parts["first"], parts["fine"], self.N, self._folders)

    def search(self, queries: NDArray[Any], k: int = 10, *, keep: Bool | None = None) -> Hits:
        """Return the k best rows of each query; see `Index.search`."""
        k = checked_k(k)
        found = self.first.search(queries, max(k, self.N), keep=keep)
        head = best(self.fine.score(queries, found.ids[:, : self.N]), self.N, found.ids[:, : self.N])
        if k <= self.N:
            return Hits(head.ids[:, :k], head.scores[:, :k], np.minimum(head.counts, k))
        behind = _below(head, found.scores[:, self.N :])
        scores = np.concatenate([head.scores, behind], axis=1)
        return Hits(np.concatenate([head.ids, found.ids[:, self.N :]], axis=1), scores, found.counts)

    def score(self, queries: NDArray[Any], ids: Int64) -> Float32:
        """Return the scores of the finer copy."""
        return self.fine.score(queries, ids)

    def save(self, folder: str | Path) -> None:
        """Write the first pass into `first/` and the copy into `fine/`."""
        folder = Path(folder)
        store.write(folder, {"class": "rerank", "N": self.N, "rows": len(self)}, {})
        self.first.save(folder / "first")
        self.fine.save(folder / "fine")

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Self:
        """Memory-map one folder, or several as one index; all must re-score the same number of rows.

        Raises CorruptIndex where a file is missing or damaged, ValueError where the folders do not belong together.
        """
        from cenote.index.flat import Flat
        from cenote.index.opening import open_index

        paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
        if not paths:
            raise ValueError("no folder to open")
        depths = [store.describe(path, "rerank", N=int)["N"] for path in paths]
        for path, depth in zip(paths, depths, strict=True):
            if depth != depths[0]:
                raise ValueError(f"{path} re-scores {depth} rows, unlike the {depths[0]} of {paths[0]}")
        first, fine = open_index([path / "first" for path in paths]), Flat.open([path / "fine" for path in paths])
        return cls(first, fine, depths[0], paths)

    def nbytes(self) -> Bytes:
        """Return the bytes of both; only the first pass need be resident."""
        first, fine = self.first.nbytes(), self.fine.nbytes()
        total = first + fine
        disk = total.disk + store.disk(self._folders)
        return Bytes(payload=total.payload, codec=total.codec, resident=first.resident, disk=disk)

    def select(self, keep: Bool) -> Self:
        """Return a new index of the rows that `keep` (n,) marks, in order."""
        return type(self)(self.first.select(keep), self.fine.select(keep), self.N)


def _below(head: Hits, scores: Float32) -> Float32:
    """Shift scores (q, c), falling along rows, to lie below the last of `head`; -inf stays."""
    if not scores.shape[1]:
        return scores
    last = head.scores[:, -1:]
    step = np.maximum(np.abs(last), 1) * np.float32(1e-6)
    with np.errstate(invalid="ignore"):  # -inf less -inf, where a row has no hits left
        shifted = last - step + (scores - scores[:, :1])
    return np.where(np.isfinite(scores), shifted, -np.inf).astype(np.float32)
