"""Sparse: every row that shares a word with the query, scored exactly from inverted lists.

    score(q, x) = sum_c q_c x_c                                                     plain products
    score(q, x) = sum_c q_c idf(c) x_c / (x_c + k1 (1 − b + b |x| / avg))            saturated: BM25

What BM25 needs to know of all rows (their number N, the df of a word, the mean length avg) is counted over the rows
that live at the time of the search, through all parts: nothing of it is stored, so nothing of it grows stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log1p
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cenote import arrays
from cenote.arrays import Bool, Bytes, Float32, Hits, Int64
from cenote.errors import CorruptIndex
from cenote.index import store
from cenote.index.base import Index, checked_k, checked_keep
from cenote.kernels import postings, threads
from cenote.kernels.maxscore import best_rows, in_order

Part: TypeAlias = dict[str, NDArray[Any]]
_ARRAYS = ("words", "starts", "rows", "values", "lengths")
_ALL = np.ones(0, np.bool_)


@dataclass(frozen=True)
class Saturation:
    """How a repeated word counts less and less: k1 how soon, b how much long rows are held back."""

    k1: float
    b: float


class Known(NamedTuple):
    """What BM25 knows of all rows that live: their mean length, and the idf of some words by number."""

    mean: float
    idf: dict[int, float]


class Sparse(Index):
    """Inverted lists of n sparse rows, in one or several parts with continuing row numbers.

    A part holds `words` (V) ascending, `starts` (V + 1), `rows` and `values` of its lists, and the `lengths` of its
    rows. Rows that score 0 or less are not found.
    """

    def __init__(
        self, parts: Sequence[Part], saturation: Saturation | None, dim: int, folders: Sequence[Path] = ()
    ) -> None:
        self.saturation, self.dim = saturation, dim
        self._parts = list(parts)
        self._starts = np.cumsum([0] + [len(part["lengths"]) for part in parts], dtype=np.int64)
        self._folders = list(folders)
        self._living: Bool | None = None
        self._told: Known | None = None

    @classmethod
    def build(cls, payload: arrays.Sparse, *, saturation: Saturation | None = None) -> Sparse:
        """Index sparse rows; without a saturation their values are what is multiplied.

        Raises TypeError for what is not sparse, ValueError for values that are not finite, and for counts below 0 under
        a saturation.
        """
        x = _checked(payload, "payload")
        if saturation is not None and len(x.values) and x.values.min() < 0:
            raise ValueError(f"payload holds a count of {x.values.min()}; words stand 0 times or more")
        distinct, which = postings.numbered(x.indices.astype(np.int64))
        words, rank = np.unique(distinct, return_inverse=True)
        starts, rows, values = postings.invert(x.indptr, rank.astype(np.int64)[which], x.values, len(words))
        sums = np.concatenate([np.zeros(1), np.cumsum(x.values, dtype=np.float64)])[x.indptr]
        part = {"words": words, "starts": starts, "rows": rows, "values": _narrow(values, saturation)}
        return cls([part | {"lengths": np.diff(sums).astype(np.float32)}], saturation, x.dim)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def living(self, alive: Bool | None) -> None:
        """Say which rows live; see `Index.living`."""
        self._living = None if alive is None else checked_keep(alive, len(self))
        self._forget()

    def _forget(self) -> None:
        for counted in ("_statistics", "_scored"):
            self.__dict__.pop(counted, None)

    @cached_property
    def _statistics(self) -> _Statistics:
        return _Statistics(self._parts, self._starts, self._living, self.saturation, self._told)

    def known(self, queries: arrays.Sparse) -> Known | None:
        """Return what rows elsewhere are scored with for these queries; see `Index.known`."""
        if self.saturation is None:
            return None
        words = np.unique(_checked(queries, "queries", self.dim).indices).astype(np.int64)
        idf = self._statistics.idf(words)
        return Known(self._statistics.mean, dict(zip(words.tolist(), idf.tolist(), strict=True)))

    def told(self, known: Known | None) -> None:
        """Take the mean length and the idf of words from elsewhere; see `Index.told`."""
        if known is None:
            return
        if self._told is None or self._told.mean != known.mean:
            self._told = Known(known.mean, {})
            self._forget()
        self._told.idf.update(known.idf)

    def search(self, queries: arrays.Sparse, k: int = 10, *, keep: Bool | None = None) -> Hits:
        """Return the k best rows of each query, of those that score above 0; see `Index.search`."""
        k, x = checked_k(k), _checked(queries, "queries", self.dim)
        kept = _ALL if keep is None else checked_keep(keep, len(self))
        (indptr, words, weights), parts = self._asked(x), self._scored
        # full from the start of places that only a score above 0 takes
        best, held = np.zeros((len(x), k), np.float32), np.full((len(x), k), -1, np.int64)

        def run(start: int, stop: int) -> None:
            mine, ends = (best[start:stop], held[start:stop]), indptr[start : stop + 1]
            for first, rows, part in parts:
                best_rows(*mine, first, part, rows, ends, words, weights, kept[first : first + rows])

        if len(x) == 1:  # a question alone is answered before another thread has woken up
            run(0, 1)
        else:
            threads.over_ranges(run, len(x))
        counts = in_order(best, held)
        return Hits(held, best, counts)

    def _asked(self, x: arrays.Sparse) -> tuple[Int64, Int64, Float32]:
        """Rows of words and their weights, in arrays of the one kind that kernels are compiled for."""
        words, weights = x.indices.astype(np.int64), x.values.astype(np.float32)
        if self.saturation is not None:
            weights *= self._statistics.idf(words)
        return x.indptr.astype(np.int64), words, weights

    @cached_property
    def _scored(self) -> list[tuple[int, int, postings.Part]]:
        """The first row, the number of rows and the lists of each part, as kernels take them."""
        found = []
        for part, first in self._numbered():
            norms = None if self.saturation is None else self._statistics.norms[first]
            lists = (part["words"], part["starts"], part["rows"], part["values"])
            heights = np.full(len(part["words"]), np.nan, np.float32)
            found.append((first, len(part["lengths"]), (*lists, norms, heights)))
        return found

    def score(self, queries: arrays.Sparse, ids: Int64) -> Float32:
        """Return the scores of rows ids (q, c), 0 for a row that shares no word; id -1 gives -inf.

        Raises ValueError for ids that do not fit the queries or are not there.
        """
        x, ids = _checked(queries, "queries", self.dim), np.asarray(ids)
        if ids.ndim != 2 or len(ids) != len(x):
            raise ValueError(f"ids must have shape ({len(x)}, c), not {ids.shape}")
        if ids.size and (ids.min() < -1 or ids.max() >= len(self)):
            raise ValueError(f"ids must lie in 0..{len(self) - 1}, not {int(ids.min())}..{int(ids.max())}")
        out = np.where(ids >= 0, np.float32(0), np.float32(-np.inf))
        indptr, words, weights = self._asked(x)
        for first, rows, part in self._scored:
            inside = (ids >= first) & (ids < first + rows)
            for query in np.flatnonzero(inside.any(axis=1)):
                mine = slice(indptr[query], indptr[query + 1])
                wanted = ids[query, inside[query]] - first
                out[query, inside[query]] = postings.score_rows(part, words[mine], weights[mine], wanted)
        return out

    def save(self, folder: str | Path) -> None:
        """Write the arrays; several parts become one."""
        part = self._parts[0] if len(self._parts) == 1 else self._joined(np.ones(len(self), np.bool_))
        saturation = None if self.saturation is None else vars(self.saturation)
        told = {"class": "exact", "rows": len(self), "dim": self.dim, "saturation": saturation}
        store.write(Path(folder), told, part)

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Self:
        """Memory-map one folder, or several as one index.

        Raises CorruptIndex where a file is missing or damaged, ValueError where the folders do not belong together.
        """
        paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
        if not paths:
            raise ValueError("no folder to open")
        described = [store.describe(path, "exact", dim=int) for path in paths]
        parts = []
        for path, one in zip(paths, described, strict=True):
            if (one["dim"], one.get("saturation")) != (described[0]["dim"], described[0].get("saturation")):
                raise ValueError(f"{path} holds other words or weighs them otherwise than {paths[0]}")
            parts.append(_whole(path, one, store.map_arrays(path, one)))
        stored = described[0].get("saturation")
        try:
            saturation = None if stored is None else Saturation(float(stored["k1"]), float(stored["b"]))
        except (TypeError, KeyError, ValueError):
            raise CorruptIndex(paths[0] / store.DESCRIPTION, f"{stored} is no saturation") from None
        return cls(parts, saturation, described[0]["dim"], paths)

    def nbytes(self) -> Bytes:
        """Return where the bytes are: the lists are the payload, what leads to them is structure."""
        payload = sum(part[name].nbytes for part in self._parts for name in ("rows", "values"))
        structure = sum(part[name].nbytes for part in self._parts for name in ("words", "starts", "lengths"))
        return Bytes(payload=payload, structure=structure, resident=payload + structure, disk=store.disk(self._folders))

    def select(self, keep: Bool) -> Self:
        """Return a new index of the rows that `keep` (n,) marks, in order."""
        return type(self)([self._joined(checked_keep(keep, len(self)))], self.saturation, self.dim)

    def _joined(self, keep: Bool) -> Part:
        """The lists of all parts as one, of the rows that are kept."""
        numbered = np.where(keep, np.cumsum(keep) - 1, -1)
        merged = np.unique(np.concatenate([part["words"] for part in self._parts]))
        held = np.zeros(len(merged) + 1, np.int64)
        for part, _ in self._numbered():
            if len(part["rows"]) and int(part["rows"].max()) >= len(part["lengths"]):
                raise CorruptIndex(self._folders[0] if self._folders else "the index", "a list holds a row it has not")
        mine = [(part, numbered[first : first + len(part["lengths"])]) for part, first in self._numbered()]
        for part, renumbered in mine:
            lists = np.searchsorted(merged, part["words"])
            kept = np.concatenate([[0], np.cumsum(renumbered[part["rows"]] >= 0)])
            held[lists + 1] += np.diff(kept[part["starts"]])
        starts = np.cumsum(held)
        at, rows = starts[:-1].copy(), np.empty(starts[-1], np.int32)
        values = np.empty(starts[-1], np.result_type(*(part["values"] for part in self._parts)))
        for part, renumbered in mine:
            lists = np.searchsorted(merged, part["words"])
            postings.append(at, rows, values, lists, part["starts"], part["rows"], part["values"], renumbered)
        used = np.diff(starts) > 0
        lengths = np.concatenate([part["lengths"] for part in self._parts])[keep]
        starts = np.concatenate([starts[:-1][used], starts[-1:]])
        return {"words": merged[used], "starts": starts, "rows": rows, "values": values, "lengths": lengths}

    def _numbered(self) -> list[tuple[Part, int]]:
        return [(part, int(first)) for part, first in zip(self._parts, self._starts, strict=False)]


class _Statistics:
    """What BM25 knows of all rows that live; norms: {first row of a part: k1 (1 − b + b |x| / avg) of its rows}.

    told: what is known from elsewhere; then nothing is counted here.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        starts: Int64,
        living: Bool | None,
        saturation: Saturation | None,
        told: Known | None,
    ) -> None:
        assert saturation is not None
        firsts = [int(first) for first in starts[: len(parts)]]
        sizes = [len(part["lengths"]) for part in parts]
        self._parts = parts
        self._alive = [None if living is None else living[a : a + n] for a, n in zip(firsts, sizes, strict=True)]
        self.rows, self._idf = 0, {} if told is None else told.idf
        self.mean = self._counted() if told is None else told.mean
        k1, b = saturation.k1, saturation.b
        self.norms = {
            # above 0 even where k1 is: a count of 0 over a norm of 0 would be no number
            first: np.maximum(k1 * (1 - b + b / self.mean * part["lengths"]), 1e-30).astype(np.float32)
            for first, part in zip(firsts, parts, strict=True)
        }

    def _counted(self) -> float:
        """Count the rows that live; return their mean length."""
        lengths = [part["lengths"] if a is None else part["lengths"][a] for part, a in self._each()]
        self.rows = sum(map(len, lengths))
        return sum(float(one.sum(dtype=np.float64)) for one in lengths) / max(1, self.rows) or 1.0

    def _each(self) -> list[tuple[Part, Bool | None]]:
        return list(zip(self._parts, self._alive, strict=True))

    def idf(self, words: Int64) -> Float32:
        """Return ln(1 + (N − df + 0.5) / (df + 0.5)) of each word."""
        asked = words.tolist()
        missing = {word: None for word in asked if word not in self._idf}
        if missing:
            new = np.array(list(missing), np.int64)
            df = np.zeros(len(new), np.int64)
            for part, alive in self._each():
                lists, held = _lists(part["words"], new)
                df[held] += _frequencies(part, alive, lists)
            # words that no row holds are not kept: there is no end to those that may be asked for
            self._idf.update((word, self._rarity(n)) for word, n in zip(new.tolist(), df.tolist(), strict=True) if n)
        rarest = self._rarity(0)
        return np.array([self._idf.get(word, rarest) for word in asked], np.float32)

    def _rarity(self, df: int) -> float:
        return log1p((self.rows - df + 0.5) / (df + 0.5))


def _frequencies(part: Part, alive: Bool | None, lists: Int64) -> Int64:
    """In how many rows that live the words of lists stand."""
    if alive is not None:
        return np.asarray(postings.count_live(part["starts"], part["rows"], lists, alive))
    return np.asarray(part["starts"][lists + 1] - part["starts"][lists])


def _lists(known: Int64, words: Int64) -> tuple[Int64, Bool]:
    """The lists of the words that a part holds, and which those are."""
    at = np.searchsorted(known, words)
    held = at < len(known)
    held[held] = known[at[held]] == words[held]
    return at[held], held


def _narrow(values: Float32, saturation: Saturation | None) -> NDArray[Any]:
    """Counts in the fewest bytes that hold them; other values as they are."""
    if saturation is None or not np.array_equal(values, np.rint(values)):
        return values
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _checked(x: Any, name: str, dim: int | None = None) -> arrays.Sparse:
    if not isinstance(x, arrays.Sparse):
        raise TypeError(f"{name} must be sparse rows (cenote.arrays.Sparse), not {type(x).__name__}")
    if dim is not None and x.dim != dim:
        raise ValueError(f"{name} have {x.dim} dimensions and the index {dim}")
    if not np.isfinite(x.values).all():
        raise ValueError(f"{name} hold values that are not finite")
    return x


def _whole(path: Path, described: dict[str, Any], part: Part) -> Part:
    """Return a part whose arrays fit together.

    Raises CorruptIndex for one whose do not.
    """
    fits = sorted(part) == sorted(_ARRAYS) and len(part["lengths"]) == described["rows"]
    fits = fits and len(part["starts"]) == len(part["words"]) + 1 and len(part["rows"]) == len(part["values"])
    fits = fits and part["starts"][0] == 0 and part["starts"][-1] == len(part["rows"])
    if not fits or bool((np.diff(part["starts"]) < 0).any()) or bool((np.diff(part["words"]) <= 0).any()):
        raise CorruptIndex(path / store.DESCRIPTION, "its arrays do not belong together")
    # plain views: kernels are slow to recognise the type of mapped arrays
    return {name: np.asarray(array) for name, array in part.items()}
