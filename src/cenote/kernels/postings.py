"""Inverted lists: turning rows of words into lists of rows, and scoring rows by the lists of a query's words.

    list c = rows[starts[c]:starts[c + 1]], ascending, and the values beside them

All arrays are plain and contiguous; nothing here allocates per posting, and every loop releases the GIL. A row that a
damaged file makes too great is passed over, so that it cannot be written to.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32, Int64
from cenote.kernels.compiled import compiled

Int32: TypeAlias = NDArray[np.int32]
Part: TypeAlias = tuple[Int64, Int64, Int32, NDArray[Any], Float32 | None, Float32]
"""The lists of some rows, as (words, starts, rows, values), the norms of the rows where BM25 scores them, and heights:
of each list the greatest magnitude of its terms under a weight of 1, NaN until somebody asks for it."""


@compiled
def numbered(values: Int64) -> tuple[Int64, Int64]:
    """Return (distinct (v), which (n)): the distinct values, 0 or greater, as they come, and which of them each is."""
    size, held = 1 << 12, 0
    keys, places = np.full(size, -1, np.int64), np.empty(size, np.int64)
    distinct, which = np.empty(size // 2, np.int64), np.empty(len(values), np.int64)
    for j in range(len(values)):
        at = _home(values[j], size)
        while keys[at] != values[j] and keys[at] != -1:
            at = (at + 1) & (size - 1)
        if keys[at] == -1:
            if held == size // 2:  # half full: twice the places, and every key to its new home
                size *= 2
                keys, places = np.full(size, -1, np.int64), np.empty(size, np.int64)
                grown = np.empty(size // 2, np.int64)
                grown[:held] = distinct[:held]
                distinct = grown
                for n in range(held):
                    at = _home(distinct[n], size)
                    while keys[at] != -1:
                        at = (at + 1) & (size - 1)
                    keys[at], places[at] = distinct[n], n
                at = _home(values[j], size)
                while keys[at] != -1:
                    at = (at + 1) & (size - 1)
            keys[at], places[at], distinct[held] = values[j], held, values[j]
            held += 1
        which[j] = places[at]
    return distinct[:held], which


@compiled
def _home(value: int, size: int) -> int:
    # Fibonacci hashing: values that are no hashes are spread as well
    return (value * 0x1E3779B97F4A7C15 >> 20) & (size - 1)


@compiled
def tallied(offsets: Int64, columns: Int64) -> tuple[Int64, Int64, Float32]:
    """Count the columns of each row, columns[offsets[i]:offsets[i + 1]]: compressed rows (indptr, columns, counts)."""
    indptr = np.zeros(len(offsets), np.int64)
    found, counts = np.empty(len(columns), np.int64), np.empty(len(columns), np.float32)
    held = 0
    for row in range(len(offsets) - 1):
        mine = np.sort(columns[offsets[row] : offsets[row + 1]])
        for j in range(len(mine)):
            if j and mine[j] == mine[j - 1]:
                counts[held - 1] += 1
            else:
                found[held], counts[held] = mine[j], 1
                held += 1
        indptr[row + 1] = held
    return indptr, found[:held], counts[:held]


@compiled
def invert(indptr: Int64, columns: Int64, values: Float32, n_columns: int) -> tuple[Int64, Int32, Float32]:
    """Transpose compressed rows into lists: (starts (n_columns + 1), rows (nnz), values (nnz)).

    Rows stand in ascending order inside each list, because they are met in that order.
    """
    starts = np.zeros(n_columns + 1, np.int64)
    for column in columns:
        starts[column + 1] += 1
    for column in range(n_columns):
        starts[column + 1] += starts[column]
    at = starts[:-1].copy()
    rows = np.empty(len(columns), np.int32)
    out = np.empty(len(columns), np.float32)
    for row in range(len(indptr) - 1):
        for j in range(indptr[row], indptr[row + 1]):
            place = at[columns[j]]
            rows[place], out[place] = row, values[j]
            at[columns[j]] += 1
    return starts, rows, out


@compiled
def append(
    at: Int64,
    out_rows: Int32,
    out_values: NDArray[np.generic],
    columns: Int64,
    starts: Int64,
    rows: Int32,
    values: NDArray[np.generic],
    renumbered: Int64,
) -> None:
    """Put the lists of one part behind what `out` holds: list c goes to columns[c] at at[columns[c]], which advances.

    renumbered: the new number of each row, -1 where it is left out.
    """
    for c in range(len(columns)):
        place = at[columns[c]]
        for j in range(starts[c], starts[c + 1]):
            row = renumbered[rows[j]]
            if row >= 0:
                out_rows[place], out_values[place] = row, values[j]
                place += 1
        at[columns[c]] = place


@compiled
def term(weight: Any, value: Any, norms: Float32 | None, row: int) -> Any:
    """What a posting adds to the score of its row: weight · value, or of BM25 weight · tf / (tf + norm[row])."""
    tf = np.float32(value)
    if norms is None:
        return weight * tf
    return weight * tf / (tf + norms[row])


@compiled
def seek(rows: Int32, low: int, length: int, row: int) -> int:
    """Return the last place of rows[low:low + length] that holds `row` or an earlier one, low where none does.

    It takes as many steps whatever it finds, so that no branch is guessed wrong, and never leaves these places.
    """
    while length > 1:
        half = length >> 1
        low += half * (rows[np.uint64(low + half)] <= row)
        length -= half
    return low


@compiled
def seek_near(rows: Int32, low: int, length: int, row: int, guess: int) -> int:
    """Return what `seek` does, sooner where that is near `guess`: strides from there go around it first."""
    stride, end = 32, low + length
    start = max(min(guess - stride, end - 1), low)
    stop = min(start + 2 * stride, end)
    while start > low and rows[np.uint64(start)] > row:
        stop, stride = start, 4 * stride
        start = max(start - stride, low)
    while stop < end and rows[np.uint64(stop)] <= row:
        start, stride = stop, 4 * stride
        stop = min(stop + stride, end)
    found: int = seek(rows, start, stop - start, row)
    return found


@compiled
def asked(part: Part, words: Int64, weights: Float32) -> tuple[Int64, Float32, Float32]:
    """Return (lists, weights, bounds) of the words that a part has; bounds: the greatest magnitudes of their terms."""
    known, starts, rows, values, norms, heights = part
    lists, kept = np.empty(len(words), np.int64), np.empty(len(words), np.float32)
    bounds = np.empty(len(words), np.float32)
    count = 0
    for i in range(len(words)):
        at = np.searchsorted(known, words[i])
        if at == len(known) or known[at] != words[i]:
            continue
        if np.isnan(heights[at]):
            # threads that meet here find the same
            heights[at] = _height(rows[starts[at] : starts[at + 1]], values[starts[at] : starts[at + 1]], norms)
        lists[count], kept[count], bounds[count] = at, weights[i], abs(weights[i]) * heights[at]
        count += 1
    return lists[:count], kept[:count], bounds[:count]


@compiled
def _height(rows: Int32, values: NDArray[Any], norms: Float32 | None) -> Any:
    height = np.float32(0)
    for j in range(len(rows)):
        if norms is not None and np.uint32(rows[j]) >= len(norms):
            continue
        height = max(height, abs(term(np.float32(1), values[j], norms, rows[j])))
    return height


@compiled
def score_rows(part: Part, words: Int64, weights: Float32, wanted: Int64) -> Float32:
    """Return (wanted): the sum of the terms of each wanted row, in the order of the words of a query."""
    _, starts, rows, values, norms, _ = part
    lists, weights, _ = asked(part, words, weights)
    scores = np.zeros(len(wanted), np.float32)
    for i in range(len(lists)):
        begin, end = starts[lists[i]], starts[lists[i] + 1]
        low = begin
        for w in range(len(wanted)):
            if w and wanted[w] < wanted[w - 1]:
                low = begin
            # in strides that double, from where the row before it was: wanted rows mostly ascend
            stride = 1
            while low + stride < end and rows[low + stride] < wanted[w]:
                low += stride
                stride *= 2
            low = seek(rows, low, min(stride + 1, end - low), wanted[w])
            if low < end and rows[low] == wanted[w]:
                scores[w] += term(weights[i], values[low], norms, wanted[w])
    return scores


@compiled
def count_live(starts: Int64, rows: Int32, lists: Int64, live: NDArray[np.bool_]) -> Int64:
    """Return (lists): how many postings of each list point at live rows."""
    totals = np.zeros(len(lists), np.int64)
    for i in range(len(lists)):
        for j in range(starts[lists[i]], starts[lists[i] + 1]):
            row = np.uint32(rows[j])
            if row < len(live) and live[row]:
                totals[i] += 1
    return totals
