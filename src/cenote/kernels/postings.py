"""Inverted lists: turning rows of words into lists of rows, and adding a list to the scores of a query.

All arrays are plain and contiguous; nothing here allocates per posting, and every loop releases the GIL.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32, Int64
from cenote.kernels.compiled import compiled


@compiled
def invert(indptr: Int64, columns: Int64, values: Float32, n_columns: int) -> tuple[Int64, NDArray[np.int32], Float32]:
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
def add_products(scores: Float32, rows: NDArray[np.int32], values: NDArray[np.generic], weight: float) -> None:
    """scores[row] += weight · value, for every posting of one list."""
    for j in range(len(rows)):
        scores[rows[j]] += weight * values[j]


@compiled
def add_saturated(
    scores: Float32, rows: NDArray[np.int32], counts: NDArray[np.generic], norms: Float32, weight: float
) -> None:
    """scores[row] += weight · tf / (tf + norm[row]): the term of BM25, for every posting of one list."""
    for j in range(len(rows)):
        tf = np.float32(counts[j])
        scores[rows[j]] += weight * tf / (tf + norms[rows[j]])


@compiled
def count_live(rows: NDArray[np.int32], live: NDArray[np.bool_]) -> int:
    """How many postings of one list point at live rows."""
    total = 0
    for j in range(len(rows)):
        if live[rows[j]]:
            total += 1
    return total
