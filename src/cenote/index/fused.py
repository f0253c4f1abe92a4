"""Fused: several indexes of the same rows, each asked in its own way, and their answers made one.

    candidates = the union of the first N rows of every leg       fused score = a function of ranks or scores there

A leg's score of a candidate that only another leg found is computed exactly where the fusion needs it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from cenote import registry
from cenote.arrays import Bool, Bytes, Float32, Hits, Int64, count
from cenote.errors import CorruptIndex, UnknownWord
from cenote.index import store
from cenote.index.base import Index, checked_k
from cenote.kernels.ranking import best


class Fusion(ABC):
    """How the answers of several legs become one. N: rows that each leg is asked for, at least."""

    N: int

    @abstractmethod
    def fused(self, candidates: Int64, found: Sequence[Hits], exact: Sequence[Scores]) -> Float32:
        """Return the score of candidates (q, c), id -1 being none, float32 (q, c).

        found: what each leg found. exact: what each leg scores any rows, called where it is needed.
        """

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Fused:
        """Open what `Fused.save` wrote."""
        return Fused.open(folders)


class Scores:
    """The scores of one leg for rows (q, c)."""

    def __init__(self, leg: Index, queries: Any) -> None:
        self._leg, self._queries = leg, queries

    def __call__(self, rows: Int64) -> Float32:
        """Return float32 (q, c), -inf for id -1."""
        return self._leg.score(self._queries, rows)


class Fused(Index):
    """legs: {name: index} over the same rows. Queries are a dict with the payload of each leg."""

    def __init__(self, legs: Mapping[str, Index], fusion: Fusion, folders: Sequence[Path] = ()) -> None:
        sizes = {name: len(leg) for name, leg in legs.items()}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"legs must hold the same rows, and have {sizes}")
        self.legs, self.fusion = dict(legs), fusion
        self._folders = list(folders)

    def __len__(self) -> int:
        return len(next(iter(self.legs.values())))

    def living(self, alive: Bool | None) -> None:
        """Tell every leg; see `Index.living`."""
        for leg in self.legs.values():
            leg.living(alive)

    def parts(self) -> dict[str, Index]:
        """Return the legs; see `Index.parts`."""
        return self.legs

    def over(self, parts: Mapping[str, Index]) -> Fused:
        """Return the same fusion of other legs; see `Index.over`."""
        return type(self)(parts, self.fusion, self._folders)

    def search(self, queries: Mapping[str, Any], k: int = 10, *, keep: Bool | None = None) -> Hits:
        """Return the k best rows of each query by the fused score; see `Index.search`."""
        k, asked = checked_k(k), self._checked(queries)
        depth = max(k, self.fusion.N)
        found = [leg.search(asked[name], depth, keep=keep) for name, leg in self.legs.items()]
        candidates = _union([hits.ids for hits in found])
        exact = [Scores(leg, asked[name]) for name, leg in self.legs.items()]
        top = best(self.fusion.fused(candidates, found, exact), k, candidates)
        wide = max(0, k - top.ids.shape[1])
        ids = np.pad(top.ids, ((0, 0), (0, wide)), constant_values=-1)
        return Hits(ids, np.pad(top.scores, ((0, 0), (0, wide)), constant_values=-np.inf), top.counts)

    def score(self, queries: Mapping[str, Any], ids: Int64) -> Float32:
        """Refuse: a fused score stands for a row among candidates, not for a row alone; ask `leg_scores`."""
        raise ValueError("a fused score is one among candidates; ask each leg with leg_scores")

    def leg_scores(self, queries: Mapping[str, Any], ids: Int64) -> dict[str, Float32]:
        """Return what each leg scores rows ids (q, c); see `Index.leg_scores`."""
        asked = self._checked(queries)
        return {name: leg.score(asked[name], ids) for name, leg in self.legs.items()}

    def _checked(self, queries: Mapping[str, Any]) -> Mapping[str, Any]:
        if not isinstance(queries, Mapping) or queries.keys() != self.legs.keys():
            given = sorted(queries) if isinstance(queries, Mapping) else type(queries).__name__
            raise ValueError(f"queries must be a dict with {', '.join(self.legs)}, not {given}")
        if len({count(one) for one in queries.values()}) > 1:
            raise ValueError("queries has more rows for one leg than for another")
        return queries

    def save(self, folder: str | Path) -> None:
        """Write each leg into a folder by its place."""
        folder, made = Path(folder), registry.config(self.fusion)
        store.write(folder, {"class": made["word"], "rows": len(self), "fusion": made, "legs": list(self.legs)}, {})
        for n, leg in enumerate(self.legs.values()):
            leg.save(folder / str(n))

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Self:
        """Memory-map one folder, or several as one index.

        Raises CorruptIndex where a file is missing or damaged, ValueError where the folders do not belong together.
        """
        from cenote.index.opening import open_index

        paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
        if not paths:
            raise ValueError("no folder to open")
        described = [store.describe(path, fusion=dict, legs=list) for path in paths]
        for path, one in zip(paths, described, strict=True):
            if (one["fusion"], one["legs"]) != (described[0]["fusion"], described[0]["legs"]):
                raise ValueError(f"{path} holds other legs, or fuses them otherwise, than {paths[0]}")
        try:
            fusion: Fusion = registry.build(described[0]["fusion"])
        except (TypeError, ValueError, UnknownWord) as error:
            raise CorruptIndex(paths[0] / store.DESCRIPTION, f"its fusion cannot be made: {error}") from None
        names = [str(name) for name in described[0]["legs"]]
        legs = {name: open_index([path / str(n) for path in paths]) for n, name in enumerate(names)}
        return cls(legs, fusion, paths)

    def nbytes(self) -> Bytes:
        """Return the bytes of all legs."""
        return sum((leg.nbytes() for leg in self.legs.values()), Bytes(disk=store.disk(self._folders)))

    def select(self, keep: Bool) -> Self:
        """Return a new index of the rows that `keep` (n,) marks, in order."""
        return type(self)({name: leg.select(keep) for name, leg in self.legs.items()}, self.fusion)


def _union(ids: Sequence[Int64]) -> Int64:
    """The distinct rows of every query in ascending order, (q, c); id -1 fills up behind."""
    stacked = np.sort(np.concatenate(ids, axis=1), axis=1)
    repeated = np.zeros(stacked.shape, np.bool_)
    repeated[:, 1:] = stacked[:, 1:] == stacked[:, :-1]
    stacked[repeated | (stacked < 0)] = np.iinfo(np.int64).max
    stacked.sort(axis=1)
    most = int((stacked < np.iinfo(np.int64).max).sum(axis=1).max(initial=0))
    return np.where(stacked < np.iinfo(np.int64).max, stacked, -1)[:, :most]


def places(candidates: Int64, hits: Hits) -> Int64:
    """Return (q, c): the place of each candidate among a leg's hits, from 0; -1 where it is not among them."""
    out = np.full(candidates.shape, -1, np.int64)
    for query, (wanted, ids) in enumerate(zip(candidates, hits.ids[:, :], strict=True)):
        mine = ids[: hits.counts[query]]
        order = np.argsort(mine)
        at = np.searchsorted(mine[order], wanted)
        there = at < len(mine)
        there[there] = mine[order[at[there]]] == wanted[there]
        out[query, there] = order[at[there]]
    return out
