"""MaxScore: the best rows of inverted lists, without reading what cannot change them.

    score(x) = sum_c term_c(x)        0 ≤ |term_c(x)| ≤ bound_c        θ: the k-th best score so far

Of the lists with the least bounds, as many are optional as together cannot bring a row above θ. A row that stands in no
other list is not among the best, so only the others, the essential ones, are read: window by window, adding their terms
up in a block that stays in the first cache. The optional lists are looked into for the rows alone that could still
exceed θ. As θ rises, more of the lists become optional; when all are, the search is over.

Turtle & Flood, "Query evaluation: strategies and optimizations" (1995). The result is exact, ties included: a row that
passes is scored anew, its terms in the order of the query, so that its score is the same however it was found.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from cenote.arrays import Bool, Float32, Int64
from cenote.kernels.compiled import compiled
from cenote.kernels.postings import Part, seek, term
from cenote.kernels.topk import replace

_Asked: TypeAlias = tuple[Int64, Float32, Float32]
"""The lists of a query, their weights, and the bounds of their terms."""
_Room: TypeAlias = tuple[Float32, Bool, Int64, Float32]
"""Room for a window: the sums of its rows, whether they passed, which did, and the most that these can score."""
WINDOW = 2048
"""Rows that are added up at a time: their scores and norms, 16 KiB, leave room in a first cache of 32."""


@compiled
def best_rows(
    best: Float32,
    held: Int64,
    first: int,
    part: Part,
    n: int,
    indptr: Int64,
    lists: Int64,
    weights: Float32,
    bounds: Float32,
    keep: Bool,
) -> None:
    """Offer the n rows of a part, numbered from `first`, to the best scores (q, k) of each query and their rows `held`.

    Query i asks for lists[indptr[i]:indptr[i + 1]], with their weights, and bounds of the magnitudes of their terms.
    The best are heaps, the worst first, full from the start of scores of 0, which only greater ones replace; earlier
    rows were offered before. keep: which of the rows (n) may be found, or nothing.
    """
    block, marked = np.zeros(WINDOW, np.float32), np.zeros(WINDOW, np.bool_)
    passed, most = np.empty(WINDOW, np.int64), np.empty(WINDOW, np.float32)
    for query in range(len(best)):
        mine = slice(indptr[query], indptr[query + 1])
        asked = (lists[mine], weights[mine], bounds[mine])
        _search(best[query], held[query], first, part, n, asked, keep, (block, marked, passed, most))


@compiled
def _search(heap: Float32, held: Int64, first: int, part: Part, n: int, asked: _Asked, keep: Bool, room: _Room) -> None:
    starts, rows, values, norms = part
    lists, weights, bounds = asked
    block, _, passed, most = room
    order = np.argsort(bounds)
    below = np.zeros(len(lists) + 1, np.float32)
    for i in range(len(lists)):
        below[i + 1] = below[i] + bounds[order[i]]
    # more than all roundings of a sum in one order and in another, and of its bounds, can come to
    slack = np.float32((2 * len(lists) + 4) * 2.0**-22) * below[-1]
    at, ends = starts[lists], starts[lists + 1]
    opened = at.copy()  # where a window begins in each list
    reached = np.zeros(len(lists), np.int64)  # no row before it lies behind `at`, but for the one there
    optional = 0
    while True:
        while optional < len(lists) and below[optional + 1] + slack <= heap[0]:
            optional += 1
        base: Any = n
        for i in order[optional:]:
            if at[i] < ends[i]:
                base = min(base, np.int64(np.uint32(rows[at[i]])))
        if base >= n:
            return
        stop = min(base + WINDOW, n)
        opened[:] = at
        # with every list read, in the order of the query, the sums are the scores
        essential = order[optional:] if optional else np.arange(len(lists))
        rest = below[optional] + slack if optional else np.float32(0)
        count = _add(heap[0] - rest, base, stop, part, weights, essential, at, ends, room)
        for i in essential:
            reached[i] = stop
        left = 0
        for c in range(count):
            place = passed[c]
            score = block[place] + rest
            if score >= heap[0] and (len(keep) == 0 or keep[base + place]):
                most[left], passed[left] = score, place
                left += 1
        for i in order[:optional][::-1]:
            if left == 0:
                break
            # a list has no more postings than there are rows; one more, since `at` may be one short
            opened[i] = at[i] = seek(rows, at[i], min(ends[i] - at[i], base - reached[i] + 2), base)
            reached[i] = base
            length = min(ends[i] - at[i], stop - base + 1)
            count, left = left, 0
            for c in range(count):
                row = base + passed[c]
                j = seek(rows, at[i], length, row)
                score = most[c] - bounds[i]
                if j < ends[i] and rows[j] == row:
                    score += term(weights[i], values[j], norms, row)
                most[left], passed[left] = score, passed[c]
                left += int(score >= heap[0])
        for c in range(left):
            row = base + passed[c]
            score = block[passed[c]]
            if optional:
                score = np.float32(0)
                for i in range(len(lists)):
                    j = seek(rows, opened[i], min(ends[i] - opened[i], stop - base + 1), row)
                    if j < ends[i] and rows[j] == row:
                        score += term(weights[i], values[j], norms, row)
            # rows of one window do not come in order
            if score > heap[0] or (score == heap[0] and first + row < held[0]):
                replace(heap, held, score, first + row)
        block[:] = 0


@compiled
def _add(
    limit: float,
    base: int,
    stop: int,
    part: Part,
    weights: Float32,
    essential: Int64,
    at: Int64,
    ends: Int64,
    room: _Room,
) -> int:
    """Add the terms of the rows of a window up in its block; return how many `passed` the limit at some time."""
    _, rows, values, norms = part
    block, marked, passed, _ = room
    count = 0
    for i in essential:
        j, end, weight = at[i], ends[i], weights[i]
        while j < end:
            row = np.uint32(rows[j])
            if row >= np.uint32(stop):
                break
            place = row - np.uint32(base)
            if place < np.uint32(WINDOW):  # rows of a damaged file need not ascend
                score = block[place] + term(weight, values[j], norms, row)
                block[place] = score
                if score > limit and not marked[place]:
                    marked[place] = True
                    passed[count] = place
                    count += 1
            j += 1
        at[i] = j
    for c in range(count):
        marked[passed[c]] = False
    return count
