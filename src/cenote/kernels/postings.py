"""Inverted lists: turning rows of words into lists of rows, and scoring rows by the lists of a query's words.

    list c = rows[starts[c]:starts[c + 1]], ascending, and the values beside them

All arrays are plain and contiguous; nothing here allocates per posting, and every loop releases the GIL. A row that a
damaged file makes too great is passed over, so that it cannot be written to.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32, Int64
from cenote.kernels.compiled import compiled

Int32: TypeAlias = NDArray[np.int32]


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
def add_products(
    scores: Float32, starts: Int64, rows: Int32, values: NDArray[np.generic], lists: Int64, weights: Float32
) -> None:
    """scores[row] += weight · value, for every posting of the lists of a query."""
    for i in range(len(lists)):
        weight = weights[i]
        for j in range(starts[lists[i]], starts[lists[i] + 1]):
            row = np.uint32(rows[j])
            if row < len(scores):
                scores[row] += weight * np.float32(values[j])


@compiled
def add_saturated(
    scores: Float32,
    starts: Int64,
    rows: Int32,
    counts: NDArray[np.generic],
    norms: Float32,
    lists: Int64,
    weights: Float32,
) -> None:
    """scores[row] += weight · tf / (tf + norm[row]): the terms of BM25, for every posting of the lists of a query."""
    for i in range(len(lists)):
        weight = weights[i]
        for j in range(starts[lists[i]], starts[lists[i] + 1]):
            row = np.uint32(rows[j])
            if row < len(scores):
                tf = np.float32(counts[j])
                scores[row] += weight * tf / (tf + norms[row])


@compiled
def values_at(starts: Int64, rows: Int32, values: NDArray[np.generic], lists: Int64, wanted: Int64) -> Float32:
    """Return (wanted, lists): the value of each wanted row in each list, 0 where it is not in it."""
    out = np.zeros((len(wanted), len(lists)), np.float32)
    for i in range(len(lists)):
        low, end = starts[lists[i]], starts[lists[i] + 1]
        for w in range(len(wanted)):
            if w and wanted[w] < wanted[w - 1]:
                low = starts[lists[i]]
            # in strides that double, from where the row before it was: wanted rows mostly ascend
            stride = 1
            while low + stride < end and rows[low + stride] < wanted[w]:
                low += stride
                stride *= 2
            high = min(low + stride, end)
            while low < high:
                middle = (low + high) // 2
                if rows[middle] < wanted[w]:
                    low = middle + 1
                else:
                    high = middle
            if low < end and rows[low] == wanted[w]:
                out[w, i] = values[low]
    return out


@compiled
def count_live(rows: Int32, live: NDArray[np.bool_]) -> int:
    """How many postings of one list point at live rows."""
    total = 0
    for j in range(len(rows)):
        row = np.uint32(rows[j])
        if row < len(live) and live[row]:
            total += 1
    return total
