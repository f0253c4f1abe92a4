"""MaxScore: the best rows of inverted lists, without reading what cannot change them.

    score(x) = sum_c term_c(x)        |term_c(x)| ≤ bound_c        θ: a score that k rows reach

Of the lists with the least bounds, as many are optional as together cannot bring a row above θ. A row that stands in no
other list is not among the best, so only the others, the essential ones, are read: window by window, adding their terms
up in a block that stays in the first cache. The optional lists are looked into for the rows alone that could still
exceed θ. As θ rises, more of the lists become optional; when all are, the search is over.

θ is known before the first window: the k rows in which the word that counts most stands best are scored whole, and
their least score is one that the k-th best row reaches. Without it, the first windows would be read in vain.

Turtle & Flood, "Query evaluation: strategies and optimizations" (1995). The result is exact, ties included: a row that
passes is scored anew, its terms in the order of the query, so that its score is the same however it was found.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from cenote.arrays import Bool, Float32, Int64
from cenote.kernels.compiled import compiled
from cenote.kernels.postings import Part, asked, seek_near, term
from cenote.kernels.topk import replace

_Query: TypeAlias = tuple[Int64, Float32, Float32]
"""The lists of a query, their weights, and the bounds of their terms."""
_Room: TypeAlias = tuple[Float32, Bool, Int64, Float32]
"""Room for a window: the sums of its rows, whether they passed, which did, and the most that these can score."""
WINDOW = 2048
"""Rows that are added up at a time: their scores and norms, 16 KiB, leave room in a first cache of 32."""
_WIDE = 4 * WINDOW
"""The same where the essential lists have a row in 16 or fewer."""
_SEEN = 1024
"""Postings of one list that are seen to begin with: those of a rare word, whose rows are mostly the best, are fewer."""


@compiled
def best_rows(
    best: Float32,
    held: Int64,
    first: int,
    part: Part,
    n: int,
    indptr: Int64,
    words: Int64,
    weights: Float32,
    keep: Bool,
) -> None:
    """Offer the n rows of a part, numbered from `first`, to the best scores (q, k) of each query and their rows `held`.

    Query i asks for words[indptr[i]:indptr[i + 1]], with their weights. The best are heaps, the worst first, full from
    the start of scores of 0, which only greater ones replace; earlier rows were offered before. keep: which of the rows
    (n) may be found, or nothing.
    """
    block, marked = np.zeros(_WIDE, np.float32), np.zeros(_WIDE, np.bool_)
    passed, most = np.empty(_WIDE, np.int64), np.empty(_WIDE, np.float32)
    for query in range(len(best)):
        mine = slice(indptr[query], indptr[query + 1])
        found = asked(part, words[mine], weights[mine])
        _search(best[query], held[query], first, part, n, found, keep, (block, marked, passed, most))


@compiled
def in_order(best: Float32, held: Int64) -> Int64:
    """Put heaps (q, k) into order, best first, and -inf where no row is held; return (q): how many rows are."""
    counts = np.zeros(len(best), np.int64)
    for query in range(len(best)):
        heap, rows = best[query], held[query]
        for end in range(len(heap) - 1, 0, -1):
            score, row = heap[end], rows[end]
            worst, its = heap[0], rows[0]
            replace(heap[:end], rows[:end], score, row)
            heap[end], rows[end] = worst, its
        for i in range(len(heap)):
            if rows[i] < 0:
                heap[i] = -np.inf
            else:
                counts[query] += 1
    return counts


@compiled
def _search(heap: Float32, held: Int64, first: int, part: Part, n: int, query: _Query, keep: Bool, room: _Room) -> None:
    _, starts, rows, values, norms, _ = part
    lists, weights, bounds = query
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
    limit = max(heap[0], _reached(len(heap), part, n, query, order, keep))
    optional = 0
    while True:
        while optional < len(lists) and below[optional + 1] + slack <= limit:
            optional += 1
        base: Any = n
        ahead = 0
        for i in order[optional:]:
            if at[i] < ends[i]:
                base = min(base, np.int64(np.uint32(rows[at[i]])))
                ahead += ends[i] - at[i]
        if base >= n:
            return
        stop = min(base + (WINDOW if 16 * ahead > n - base else _WIDE), n)
        opened[:] = at
        # with every list read, in the order of the query, the sums are the scores
        essential = order[optional:] if optional else np.arange(len(lists))
        rest = below[optional] + slack if optional else np.float32(0)
        count = _add(limit - rest, base, stop, part, weights, essential, at, ends, room)
        for i in essential:
            reached[i] = stop
        left = 0
        for c in range(count):
            place = passed[c]
            score = block[place] + rest
            if score >= limit and (len(keep) == 0 or keep[base + place]):
                most[left], passed[left] = score, place
                left += 1
        for i in order[:optional][::-1]:
            if left == 0:
                break
            # a list has no more postings than there are rows; one more, since `at` may be one short
            length, share = min(ends[i] - at[i], base - reached[i] + 2), (ends[i] - at[i]) / (n - reached[i])
            at[i] = seek_near(rows, at[i], length, base, at[i] + np.int64((base - reached[i]) * share))
            opened[i], reached[i] = at[i], base
            length, share = min(ends[i] - at[i], stop - base + 1), (ends[i] - at[i]) / (n - base)
            count, left = left, 0
            for c in range(count):
                row = base + passed[c]
                j = seek_near(rows, at[i], length, row, at[i] + np.int64(passed[c] * share))
                score = most[c] - bounds[i]
                if j < ends[i] and rows[j] == row:
                    score += term(weights[i], values[j], norms, row)
                most[left], passed[left] = score, passed[c]
                left += int(score >= limit)
        for c in range(left):
            row = base + passed[c]
            score = block[passed[c]]
            if optional:
                score = _score(part, lists, weights, row, base, n, opened, ends)
            # rows of one window do not come in order
            if score > heap[0] or (score == heap[0] and first + row < held[0]):
                replace(heap, held, score, first + row)
        limit = max(limit, heap[0])
        block[: stop - base] = 0


@compiled
def _reached(k: int, part: Part, n: int, query: _Query, order: Int64, keep: Bool) -> Any:
    """Return a score that k rows exceed: those of one list, the one of the greatest bound that has so many."""
    _, starts, rows, values, norms, _ = part
    lists, weights, _ = query
    for i in order[::-1]:
        begin, end = starts[lists[i]], starts[lists[i] + 1]
        if end - begin < k:
            continue
        heap, held, count = np.full(k, -np.inf, np.float32), np.full(k, -1, np.int64), 0
        for j in range(begin, min(end, begin + max(_SEEN, k))):
            row = np.int64(np.uint32(rows[j]))
            if row < n and (len(keep) == 0 or keep[row]):
                count += 1
                score = term(weights[i], values[j], norms, row)
                if score > heap[0]:
                    replace(heap, held, score, row)
        if count < k:
            continue
        least = np.float32(np.inf)
        for row in held:
            least = min(least, _score(part, lists, weights, row, 0, n, starts[lists], starts[lists + 1]))
        return np.nextafter(least, np.float32(-np.inf))
    return np.float32(-np.inf)


@compiled
def _score(part: Part, lists: Int64, weights: Float32, row: int, base: int, n: int, at: Int64, ends: Int64) -> Any:
    """The score of a row, its terms in the order of the query; `at`: where row `base` or later begins in each list."""
    _, _, rows, values, norms, _ = part
    score = np.float32(0)
    for i in range(len(lists)):
        share = (ends[i] - at[i]) / (n - base)
        j = seek_near(rows, at[i], ends[i] - at[i], row, at[i] + np.int64((row - base) * share))
        if j < ends[i] and rows[j] == row:
            score += term(weights[i], values[j], norms, row)
    return score


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
    _, _, rows, values, norms, _ = part
    block, marked, passed, _ = room
    count = 0
    for i in essential:
        j, end, weight = at[i], ends[i], weights[i]
        while j < end:
            row = np.uint32(rows[j])
            if row >= np.uint32(stop):
                break
            place = row - np.uint32(base)
            if place < np.uint32(stop - base):  # rows of a damaged file need not ascend
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
