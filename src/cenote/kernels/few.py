"""Scores of few rows of floats without compiled kernels, which take longer to load than such rows to score.

    lane_l = fma(x_i, q_i, lane_l)  for i = l, l + L, l + 2L, …         score = (the sum of the L lanes) · factor

The bits are those of `kernels.scan` for up to eight queries: as many lanes as a register of this machine has, summed
in its order (`simd.summed`), and products that are fused to their sum, by one rounding. That is done in float64: a
product of two float32 is exact there, and a sum whose last bit says whether anything was lost ("round to odd") rounds
to the same float32 as the sum itself, as 53 bits are more than 24 + 2 (Boldo & Melquiond, "Emulation of FMA and
correctly rounded sums: proved algorithms using rounding to odd", IEEE Transactions on Computers 57, 2008).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32
from cenote.kernels.machine import vector_lanes

Codes = dict[str, NDArray[Any]]
MOST_QUERIES = 8
MOST_PRODUCTS = 1 << 19
"""Products of numbers, as of 1,365 rows with 384 of a query: they take some 10 ms, and loading numba takes 500."""
SEARCHES = 32
"""How often an index is searched before the kernels are worth loading."""


def quicker(queries: int, products: int) -> bool:
    """Whether scoring is quicker without compiled kernels: where there is little of it, and they are not loaded."""
    if "cenote.kernels.scan" in sys.modules or "torch" not in sys.modules:
        return False  # torch, which tells the lanes, takes longer to load than the kernels
    return queries <= MOST_QUERIES and products <= MOST_PRODUCTS and lanes() > 0


def lanes() -> int:
    """Return how many float32 a register of the compiled kernels holds here; 0 where that is not known without them."""
    # wherever it is known, a product and its sum are one instruction
    return vector_lanes("float32")


@np.errstate(over="ignore", invalid="ignore")  # what is beyond float32 is infinite, as it is in the kernels
def products(queries: Float32, rows: Float32, factor: float = 1.0) -> Float32:
    """Return the scores (q, n) of queries (q, d) and rows (n, d), which `lanes` must be known for."""
    width = lanes()
    left, right = _in_lanes(queries, width), _in_lanes(rows, width).transpose(1, 0, 2).copy()
    out = np.empty((len(queries), len(rows)), np.float32)
    for q, query in enumerate(left):
        total = np.zeros((len(rows), width), np.float32)
        for step, column in enumerate(query):
            total = _fused(right[step], column, total)
        out[q] = _summed(total)
    return out * np.float32(factor)


def scorer(queries: Float32, widened: Callable[[Codes], Float32], factor: float = 1.0) -> Callable[[Codes], Float32]:
    """Return block of codes -> scores (q, rows), the codes being widened to float32."""
    return lambda block: products(queries, widened(block), factor)


def _in_lanes(x: Float32, width: int) -> NDArray[np.float64]:
    """Return x (n, d) as (n, steps, width), filled up with zeros."""
    spare = -x.shape[1] % width
    return np.pad(x, ((0, 0), (0, spare))).astype(np.float64).reshape(len(x), -1, width)


def _fused(a: NDArray[np.float64], b: NDArray[np.float64], c: Float32) -> Float32:
    """Return a · b + c, rounded once, of float32, the first two as float64."""
    product = a * b
    total = product + c
    # what the sum lost (Knuth's two-sum)
    part = total - product
    lost = (product - (total - part)) + (c - part)
    bits = total.view(np.int64)
    even = (lost != 0) & np.isfinite(total) & (bits & 1 == 0)
    towards = np.where((lost > 0) == (total > 0), 1, -1)
    odd: NDArray[np.float64] = (bits + even * towards).view(np.float64)
    return odd.astype(np.float32)


def _summed(total: Float32) -> Float32:
    """Return the sums (n,) of lanes (n, L): inside every four first, then halves of the rest."""
    fours = total.reshape(len(total), -1, 4)
    pairs = fours[..., :2] + fours[..., 2:]
    sums: Float32 = pairs[..., 0] + pairs[..., 1]
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]
