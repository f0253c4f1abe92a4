"""Flat: scans every row, exact over its codes.

    score(q, x) = <q, decode(code(x))>        or the integer form of it that the codec brings

Pieces of rows are shared out among threads; each scores its pieces against a tile of queries and keeps the best k
(`kernels.scan`), so memory is bounded whatever the number of rows. Rows that are not kept are never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cenote import registry
from cenote.arrays import Bool, Bytes, Float32, Hits, Int64
from cenote.compress.base import Codec, Codes, checked
from cenote.errors import CorruptIndex
from cenote.index import store
from cenote.index.base import Index, checked_k, checked_keep
from cenote.index.rerank import Rerank, Reranked, stages
from cenote.kernels import few, threads
from cenote.kernels.ranking import best

BLOCK_ROWS = 16_384
PIECE_BYTES = 1 << 22  # of rows, times their queries: what a thread scans before it takes more, which costs some 10 µs
TILE_QUERIES = 256
TILE_HITS = 1 << 22  # of k hits a query: what a thread keeps while it scans is four times as many words


class Flat(Index):
    """Codes of n vectors, in one or several parts with continuing row numbers."""

    def __init__(self, parts: Sequence[Codes], codec: Codec, dim: int, folders: Sequence[Path] = ()) -> None:
        self.codec, self.dim = codec, dim
        parts = [_in_lines(part) for part in parts]
        self._parts = [part for part in parts if len(part["codes"])]
        self._empty = parts[0]
        self._starts = np.cumsum([0] + [len(part["codes"]) for part in self._parts], dtype=np.int64)
        self._folders = list(folders)
        self._few_searches = few.SEARCHES

    @classmethod
    def build(
        cls,
        vectors: NDArray[Any],
        *,
        codec: str | Codec = "float32",
        rerank: str | Rerank | Sequence[str | Rerank] | None = None,
        seed: int = 0,
    ) -> Flat | Reranked:
        """Index vectors (n, d) of floats. A codec that learns and has not is fitted on them.

        rerank: a codec word, a `Rerank`, or several in the order they run; each keeps a finer copy.
        Raises TypeError or ValueError for vectors that are not finite floats (n, d), and for unknown codecs.
        """
        x = checked(np.asarray(vectors), "vectors")
        made = registry.make(codec, ("codec",)) if isinstance(codec, str) else codec
        _ensure_fitted(made, x, seed)
        index: Flat | Reranked = cls([made.encode(x)], made, x.shape[1])
        for stage in stages(rerank):
            _ensure_fitted(stage.made, x, seed)
            index = Reranked(index, cls([stage.made.encode(x)], stage.made, x.shape[1]), stage.N)
        return index

    def __len__(self) -> int:
        return int(self._starts[-1])

    def search(self, queries: NDArray[Any], k: int = 10, *, keep: Bool | None = None) -> Hits:
        """Return the k best rows of each query (q, d); see `Index.search`."""
        k = checked_k(k)
        x = checked(np.asarray(queries), "queries", self.dim)
        there = len(self) if keep is None else int(np.count_nonzero(checked_keep(keep, len(self))))
        most = min(k, there)
        ids = np.full((len(x), k), -1, np.int64)
        scores = np.full((len(x), k), -np.inf, np.float32)
        if most and self._few(len(x), there):
            rows = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
            # the kernels know no zero with a sign
            found = self.codec.few(x, self.dim)(self.codes(rows)) + np.float32(0)
            hits = best(found, most, np.tile(rows, (len(x), 1)))
            ids[:, :most], scores[:, :most] = hits.ids, hits.scores
            return Hits(ids, scores, hits.counts)
        tile = max(1, min(TILE_QUERIES, TILE_HITS // max(1, most)))
        for start in range(0, len(x) if most else 0, tile):
            some = slice(start, start + tile)
            kernel = self.codec.kernel(x[some], self.dim)
            if kernel is None:
                hits = self._by_blocks(x[some], most, keep)
            else:
                hits = kernel.best(self._parts, most, keep, self._piece(len(x[some]), there))
            ids[some, :most], scores[some, :most] = hits.ids, hits.scores
        return Hits(ids, scores, (ids >= 0).sum(axis=1))

    def _piece(self, queries: int, rows: int) -> int:
        """Return how many rows a thread takes at once: enough to be worth it, and a quarter of its share at most."""
        worth = PIECE_BYTES // max(1, queries * self.codec.nbytes(1, self.dim))
        return max(BLOCK_ROWS, min(worth, rows // (4 * threads.count())))

    def _few(self, queries: int, rows: int) -> bool:
        """Whether to score without compiled kernels, which give the same bits, as that is quicker than loading them."""
        quicker = self._few_searches > 0 and few.quicker(queries, queries * rows * self.dim)
        self._few_searches -= quicker
        return quicker

    def _by_blocks(self, queries: Float32, k: int, keep: Bool | None) -> Hits:
        """Search codes that no kernel knows: every block is scored by the codec and offered."""
        from cenote.kernels.topk import TopK

        top, score = TopK(len(queries), k), self.codec.scorer(queries, self.dim)
        rows = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
        for start in range(0, len(rows), BLOCK_ROWS):
            top.push(score(self.codes(rows[start : start + BLOCK_ROWS])), start)
        return top.hits(rows)

    def codes(self, rows: Int64) -> Codes:
        """Return the codes of rows, in the order given.

        Raises ValueError for a row that is not there.
        """
        self._ensure_there(rows)
        if len(self._parts) == 1:
            return {name: array[rows] for name, array in self._parts[0].items()}
        part = np.searchsorted(self._starts, rows, side="right") - 1
        out = {name: np.empty((len(rows), *array.shape[1:]), array.dtype) for name, array in self._empty.items()}
        for i in np.unique(part):
            chosen = np.flatnonzero(part == i)
            for name, array in self._parts[i].items():
                out[name][chosen] = array[rows[chosen] - self._starts[i]]
        return out

    def _ensure_there(self, rows: Int64) -> None:
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise ValueError(f"rows must lie in 0..{len(self) - 1}, not {int(rows.min())}..{int(rows.max())}")

    def vectors(self, rows: Int64) -> Float32:
        """Return float32 (r, d): what the codes of rows stand for."""
        return self.codec.decode(self.codes(rows), self.dim)

    def score(self, queries: NDArray[Any], ids: Int64) -> Float32:
        """Return the score of rows ids (q, c) for each query (q, d): float32 (q, c); id -1 gives -inf."""
        x = checked(np.asarray(queries), "queries", self.dim)
        ids = np.asarray(ids)
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"ids must hold whole numbers, not {ids.dtype}")
        if ids.ndim != 2 or len(ids) != len(x):
            raise ValueError(f"ids must have one row for each of the {len(x)} queries, not shape {ids.shape}")
        out = np.full(ids.shape, -np.inf, np.float32)
        self._ensure_there(ids[ids >= 0])
        few_rows = self._few(len(x), ids.shape[1])
        kernel = None if few_rows else self.codec.kernel(x, self.dim)
        if kernel is not None:
            for part, first in zip(self._parts, self._starts, strict=False):
                kernel.scores(part, ids.astype(np.int64) - first, out)
            return out
        scorer = self.codec.few if few_rows else self.codec.scorer
        for query, (row, wanted) in enumerate(zip(ids, ids >= 0, strict=True)):
            if wanted.any():
                score = scorer(x[query : query + 1], self.dim)
                out[query, wanted] = score(self.codes(row[wanted]))[0] + np.float32(0)
        return out

    def save(self, folder: str | Path) -> None:
        """Write codes and codec into an empty folder."""
        whole = {name: np.concatenate([part[name] for part in self._parts or [self._empty]]) for name in self._empty}
        description = {"class": "flat", "rows": len(self), "dim": self.dim, "codec": registry.config(self.codec)}
        state = {f"codec.{name}": array for name, array in self.codec.state().items()}
        store.write(Path(folder), description, whole | state)

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Self:
        """Memory-map one folder, or several built with the same codec.

        Raises CorruptIndex where a file is missing or damaged, ValueError where the folders do not belong together.
        """
        paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
        if not paths:
            raise ValueError("no folder to open")
        described = [store.describe(path, "flat", dim=int, codec=dict) for path in paths]
        first = described[0]
        for path, one in zip(paths, described, strict=True):
            if (one["codec"], one["dim"]) != (first["codec"], first["dim"]):
                raise ValueError(f"{path} has {one['codec']} of {one['dim']} dimensions, unlike {paths[0]}")
        arrays = [store.map_arrays(path, one) for path, one in zip(paths, described, strict=True)]
        learnt = [{k: v for k, v in one.items() if k.startswith("codec.")} for one in arrays]
        for path, state in zip(paths, learnt, strict=True):
            if state.keys() != learnt[0].keys() or any(not np.array_equal(state[k], learnt[0][k]) for k in state):
                raise ValueError(f"the codec of {path} learnt from other vectors than that of {paths[0]}")
        codec = _codec(paths[0] / store.DESCRIPTION, first["codec"], learnt[0])
        parts = [{k: v for k, v in one.items() if not k.startswith("codec.")} for one in arrays]
        for path, part, one in zip(paths, parts, described, strict=True):
            sizes = [array.nbytes for array in part.values() if len(array) == one["rows"]]
            if "codes" not in part or len(sizes) < len(part) or sum(sizes) != codec.nbytes(one["rows"], one["dim"]):
                promised = f"{one['rows']} rows of {one['dim']} dimensions"
                raise CorruptIndex(path / store.DESCRIPTION, f"it promises {promised} and the arrays differ")
        return cls(parts, codec, first["dim"], paths)

    def nbytes(self) -> Bytes:
        """Return where the bytes are; a flat index holds its codes and what its codec learnt."""
        payload = sum(array.nbytes for part in self._parts for array in part.values())
        codec = sum(array.nbytes for array in self.codec.state().values())
        return Bytes(payload=payload, codec=codec, resident=payload + codec, disk=store.disk(self._folders))

    def select(self, keep: Bool) -> Self:
        """Return a new index of the rows that `keep` (n,) marks, in order."""
        return type(self)([self.codes(np.flatnonzero(checked_keep(keep, len(self))))], self.codec, self.dim)


def _in_lines(part: Codes) -> Codes:
    """Return arrays whose rows lie one after another, as the kernels read them."""
    return {name: np.ascontiguousarray(array) for name, array in part.items()}


def _codec(path: Path, config: Mapping[str, Any], learnt: Codes) -> Codec:
    """Build the codec that a description names, with what it learnt."""
    try:
        codec: Codec = registry.build(config)
        codec.restore({name.removeprefix("codec."): array for name, array in learnt.items()})
    except (TypeError, ValueError) as error:
        raise CorruptIndex(path, f"its codec cannot be made: {error}") from None
    if not codec.fitted:
        raise CorruptIndex(path, "what its codec learnt is missing")
    return codec


def _ensure_fitted(codec: Codec, x: Float32, seed: int) -> None:
    if not codec.fitted:
        codec.fit(x, seed)
