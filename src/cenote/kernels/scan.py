"""Scans: every row of codes times every query, and the best k of each query.

    score(q, x) = (sum_j code_q,j · code_x,j) · factor_q · scale_x + shift

Rows are widened a block at a time into memory that the second cache holds, and multiplied by tiles of queries at once;
up to eight queries read the rows where they lie, sixteen rows at a time, as fast as memory gives them. What exceeds
its query's limit is kept. Sums of whole numbers have the same bits however the work is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Bool, Float32, Hits, Int64
from cenote.kernels import bitwise, candidates, forms, products, simd, threads
from cenote.kernels.aligned import aligned
from cenote.kernels.candidates import Candidates, Keys
from cenote.kernels.compiled import compiled

Part = Mapping[str, NDArray[Any]]
"""Arrays of one row a vector: `codes`, and `scale` where rows have one."""
FEW = 8  # queries up to which reading rows in place is quicker than widening them for a tile
_BLOCK_ROWS, _BLOCK_BYTES = 96, 1 << 18
_AHEAD_BYTES = 1 << 14  # that many are asked for before they are read: a memory answers after some 100 ns


class Queries:
    """Queries (q, d) in the form that codes of one form are multiplied by.

    codes: float32 (q, d) for the forms of floats, int8 (q, d), or packed bits uint8 (q, bytes). factor: float32 (q,).
    """

    def __init__(self, form: int, codes: NDArray[Any], factor: Float32, shift: float = 0.0) -> None:
        self.form, self.shift = form, np.float32(shift)
        self.factor = np.ascontiguousarray(factor, dtype=np.float32)
        self.start = np.zeros(len(codes), np.int32)
        if form == forms.INT8 and simd.has_vnni():
            self.start = -128 * codes.sum(axis=1, dtype=np.int32)
        widened = forms.widened_queries(form, codes)
        together = products.tile_steps()
        self.steps = -(-widened.shape[1] * widened.itemsize // (4 * together)) * together
        self.wide = _in_lines(widened)
        self.read = _in_lines(codes) if form == forms.BITS else self.wide  # bits are widened after they are compared

    def __len__(self) -> int:
        return len(self.wide)

    def best(self, parts: Sequence[Part], k: int, keep: Bool | None = None, piece: int = 16_384) -> Hits:
        """Return the k best rows of parts, numbered from one part to the next, among those `keep` (n,) marks."""
        pieces = list(_pieces(parts, keep, piece))

        def run(numbers: Iterator[int]) -> Candidates:
            found, room = Candidates(len(self), k), self._room()
            for number in numbers:
                self._scan(*pieces[number], found, room)
            return found

        return candidates.best(threads.shared(run, len(pieces)))

    def _room(self) -> tuple[NDArray[np.int32], NDArray[np.int32], Float32]:
        """Return what one thread works in: widened rows, sums of a tile, and its scores."""
        height, steps = products.tile_rows(self.form), self.wide.shape[1]
        block = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // (4 * steps)) // height) * height
        if not any(group.width for group in self._groups):
            block = 0  # rows are read in place
        rows, sums = (aligned(shape, np.int32) for shape in ((block, steps), (height, 64)))
        return rows, sums, aligned((64,), np.float32)

    def _scan(
        self, part: Part, start: int, first: int, rows: NDArray[np.int32], found: Candidates, room: tuple[Any, ...]
    ) -> None:
        """Offer rows of a part, counted from its row `first`; the part's first row is row `start` of all."""
        codes, size = part["codes"], _row_bytes(part)
        where = (codes.ctypes.data + first * size, size, part.get("scale", _NO_SCALE)[first:], start + first, rows)
        for group in self._groups:
            kept = (found.k, found.keys[group.some], found.counts[group.some], found.limits[group.some.start :])
            scan = _tiles(self.form, group.width) if group.width else _in_place(self.form)
            scan(*where, group.wide, group.start, group.factor, self.shift, *kept, *room)

    def scores(self, part: Part, ids: Int64, out: Float32) -> None:
        """Write the scores of rows ids (q, c) of one part into out (q, c), the others left as they are."""
        codes, scale = part["codes"], part.get("scale", _NO_SCALE)
        where = (codes.ctypes.data, _row_bytes(part), len(codes), scale)

        def run(start: int, stop: int) -> None:
            some = slice(start, stop)
            mine = (self.read[some], self.start[some], self.factor[some], self.shift)
            _chosen(self.form)(*where, ids[some], *mine, out[some])

        threads.over_ranges(run, len(ids), least=max(1, 512 // max(1, ids.shape[1])))

    @cached_property
    def _groups(self) -> list[_Group]:
        """Cut the queries into whole tiles of the widest and a rest, in the narrowest where these waste less."""
        least, most = products.tile_widths()[0], products.tile_widths()[-1]
        whole = len(self) // most * most
        rest = len(self) - whole
        width = 0 if rest <= FEW else least if rest <= most - least else most
        return [self._group(*cut) for cut in ((0, whole, most), (whole, len(self), width)) if cut[0] < cut[1]]

    def _group(self, begin: int, end: int, width: int) -> _Group:
        some = slice(begin, end)
        if not width:
            return _Group(some, 0, self.read[some], self.start[some], self.factor[some])
        count = -(-(end - begin) // width) * width
        wide = np.zeros((count, self.steps), np.int32)
        start, factor = aligned((count,), np.int32), aligned((count,), np.float32)
        wide[: end - begin] = self.wide[some, : self.steps]
        start[: end - begin], factor[: end - begin] = self.start[some], self.factor[some]
        packed = aligned((count // width, self.steps, width), np.int32)
        packed[:] = wide.reshape(-1, width, self.steps).transpose(0, 2, 1)
        return _Group(some, width, packed, start, factor)


@dataclass(frozen=True)
class _Group:
    """Queries that are scanned together, by tiles of `width` of them; where that is 0, one by one.

    Tiles lie step by step, four bytes of each query, (tiles, steps, width), and are filled up with zeros; queries that
    are scanned one by one lie as rows are read (`forms.read`).
    """

    some: slice
    width: int
    wide: NDArray[np.int32]
    start: NDArray[np.int32]
    factor: Float32


def _in_lines(codes: NDArray[Any]) -> NDArray[np.int32]:
    """Return rows (q, d) that begin and end with lines of the cache, filled up with zeros."""
    columns = 64 // codes.itemsize
    lines = aligned((len(codes), -(-codes.shape[1] // columns) * columns), codes.dtype)
    lines[:, : codes.shape[1]] = codes
    return lines.view(np.int32)


def _row_bytes(part: Part) -> int:
    return int(part["codes"].shape[1] * part["codes"].itemsize)


_MOST_MARKED = 1 << 24  # rows of which those that are kept are written down at once
_NO_SCALE = np.ones(0, np.float32)


def _pieces(parts: Sequence[Part], keep: Bool | None, size: int) -> Iterator[tuple[Part, int, int, NDArray[np.int32]]]:
    """Yield a part, the number of its first row, a row of it, and rows counted from there: at most `size` of them."""
    every = np.arange(size, dtype=np.int32)
    start = 0
    for part in parts:
        n = len(part["codes"])
        for first in range(0, n, size if keep is None else _MOST_MARKED):
            if keep is None:
                yield part, start, first, every[: n - first]
                continue
            marked = _marked(np.ascontiguousarray(keep[start + first : start + min(n, first + _MOST_MARKED)]))
            yield from ((part, start, first, marked[i : i + size]) for i in range(0, len(marked), size))
        start += n


@compiled
def _marked(keep: Bool) -> NDArray[np.int32]:
    """Return the numbers of what is kept."""
    out = np.empty(keep.sum(), np.int32)
    count, whole = 0, len(keep) // 64 * 64
    for i in range(0, whole, 64):
        bits = bitwise.marks(keep.ctypes.data + i)
        while bits:
            out[count] = i + bitwise.lowest(bits)
            bits &= bits - np.uint64(1)
            count += 1
    for i in range(whole, len(keep)):
        if keep[i]:
            out[count] = i
            count += 1
    return out


@cache
def _tiles(form: int, width: int) -> Callable[..., None]:
    """Return the scan by tiles of `width` queries."""
    height = products.tile_rows(form)

    @compiled
    def scan(
        codes: int,
        size: int,
        scale: Float32,
        first: int,
        rows: NDArray[np.int32],
        packed: NDArray[np.int32],
        start: NDArray[np.int32],
        factor: Float32,
        shift: np.float32,
        k: int,
        keys: Keys,
        counts: Int64,
        limits: Float32,
        wide: NDArray[np.int32],
        sums: NDArray[np.int32],
        scores: Float32,
    ) -> None:
        tiles, steps, block = packed.shape[0], packed.shape[1], len(wide)
        stride = 4 * wide.shape[1]
        for low in range(0, len(rows), block):
            count = min(block, len(rows) - low)
            for i in range(count):
                products.widen(form, codes + rows[low + i] * size, size, wide.ctypes.data + i * stride)
            for tile in range(tiles):
                column = tile * width
                for group in range(0, count, height):
                    products.tile_products(
                        form,
                        width,
                        wide.ctypes.data + group * stride,
                        stride,
                        packed.ctypes.data + tile * 4 * steps * width,
                        steps,
                        sums.ctypes.data,
                    )
                    for r in range(min(height, count - group)):
                        row = rows[low + group + r]
                        by = scale[row] if len(scale) > 0 else np.float32(1)
                        bits = products.passing(
                            form,
                            width,
                            sums.ctypes.data + 4 * width * r,
                            start.ctypes.data + 4 * column,
                            by,
                            factor.ctypes.data + 4 * column,
                            shift,
                            limits.ctypes.data + 4 * column,
                            scores.ctypes.data,
                        )
                        while bits:
                            q = bitwise.lowest(bits)
                            bits &= bits - np.uint64(1)
                            candidates.add(keys, counts, limits, k, column + q, scores[q], first + row)
                        if tile == 0 and low + block + group + r < len(rows):
                            ahead = codes + rows[low + block + group + r] * size
                            for line in range(0, size, 64):
                                simd.fetch(ahead + line)

    return scan  # type: ignore[no-any-return]


@cache
def _in_place(form: int) -> Callable[..., None]:
    """Return the scan that reads sixteen rows at a time where they lie."""

    @compiled
    def scan(
        codes: int,
        size: int,
        scale: Float32,
        first: int,
        rows: NDArray[np.int32],
        queries: NDArray[np.int32],
        start: NDArray[np.int32],
        factor: Float32,
        shift: np.float32,
        k: int,
        keys: Keys,
        counts: Int64,
        limits: Float32,
        wide: NDArray[np.int32],
        sums: NDArray[np.int32],
        scores: Float32,
    ) -> None:
        by, last = np.ones(products.ROWS, np.float32), np.zeros(products.ROWS, np.int32)
        ahead = products.ROWS * max(1, _AHEAD_BYTES // (products.ROWS * max(1, size)))
        for low in range(0, len(rows), products.ROWS):
            count = min(products.ROWS, len(rows) - low)
            here = later = rows.ctypes.data + 4 * low
            if count < products.ROWS:
                last[:count], last[count:] = rows[low:], rows[low]
                here = later = last.ctypes.data
            elif low + ahead + products.ROWS <= len(rows):
                later += 4 * ahead
            if len(scale) > 0:
                for r in range(count):
                    by[r] = scale[rows[low + r]]
            for q in range(len(queries)):
                query = queries.ctypes.data + q * 4 * queries.shape[1]
                products.row_products(form, codes, here, later, size, query, sums.ctypes.data)
                bits = products.passing(
                    form,
                    16,
                    sums.ctypes.data,
                    start[q],
                    by.ctypes.data,
                    factor[q],
                    shift,
                    limits[q],
                    scores.ctypes.data,
                )
                bits &= np.uint64((1 << count) - 1)
                while bits:
                    r = bitwise.lowest(bits)
                    bits &= bits - np.uint64(1)
                    candidates.add(keys, counts, limits, k, q, scores[r], first + rows[low + r])

    return scan  # type: ignore[no-any-return]


@cache
def _chosen(form: int) -> Callable[..., None]:
    """Return the scores of chosen rows."""
    floats = forms.is_float(form)

    @compiled
    def scores(
        codes: int,
        size: int,
        n: int,
        scale: Float32,
        ids: Int64,
        wide: NDArray[np.int32],
        start: NDArray[np.int32],
        factor: Float32,
        shift: np.float32,
        out: Float32,
    ) -> None:
        chosen, columns = np.zeros(products.ROWS, np.int32), np.zeros(products.ROWS, np.int64)
        sums = np.zeros(products.ROWS, np.int32)
        numbers, here = sums.view(np.float32), chosen.ctypes.data
        for q in range(len(ids)):
            count = 0
            for c in range(ids.shape[1] + 1):
                if c < ids.shape[1]:
                    if ids[q, c] < 0 or ids[q, c] >= n:
                        continue
                    columns[count], chosen[count] = c, ids[q, c]
                    for line in range(0, size, 64):
                        simd.fetch(codes + ids[q, c] * size + line)
                    count += 1
                if count == products.ROWS or (c == ids.shape[1] and count > 0):
                    chosen[count:] = chosen[0]
                    query = wide.ctypes.data + q * 4 * wide.shape[1]
                    products.row_products(form, codes, here, here, size, query, sums.ctypes.data)
                    for r in range(count):
                        by = scale[ids[q, columns[r]]] if len(scale) > 0 else np.float32(1)
                        total = numbers[r] if floats else np.float32(sums[r] + start[q])
                        out[q, columns[r]] = total * by * factor[q] + shift
                    count = 0

    return scores  # type: ignore[no-any-return]
