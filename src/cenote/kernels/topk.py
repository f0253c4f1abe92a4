"""The best k of many scores, by one rule: score descending, then row ascending.

Candidates come in blocks of rows in ascending order, so a newcomer that only equals the worst kept one loses: keeping a
heap and replacing its root on a strictly greater score is exactly that rule.
"""

from __future__ import annotations

import numpy as np

from cenote.arrays import Bool, Float32, Hits, Int64
from cenote.kernels import threads
from cenote.kernels.compiled import compiled


class TopK:
    """The running best k of q queries. `push` blocks in ascending row order, then `hits`."""

    def __init__(self, queries: int, k: int) -> None:
        self.scores = np.full((queries, k), -np.inf, np.float32)
        self.ids = np.full((queries, k), -1, np.int64)
        self.counts = np.zeros(queries, np.int64)

    def push(self, scores: Float32, first: int, keep: Bool | None = None) -> None:
        """Offer scores (q, rows) of the rows from `first` on; `keep` (rows,) marks those that may be taken."""
        wanted = np.ones(0, np.bool_) if keep is None else keep
        scores = np.ascontiguousarray(scores, dtype=np.float32)

        def run(start: int, stop: int) -> None:
            part = slice(start, stop)
            _push(scores[part], first, wanted, self.scores[part], self.ids[part], self.counts[part])

        threads.over_ranges(run, len(scores), least=max(1, 65_536 // max(1, scores.shape[1])))

    def hits(self, rows: Int64 | None = None) -> Hits:
        """Return what was kept, best first; `rows` translates the pushed numbers, ascending, to others."""
        order = np.lexsort((self.ids, -self.scores), axis=1)
        ids, scores = np.take_along_axis(self.ids, order, 1), np.take_along_axis(self.scores, order, 1)
        # empty places hold id -1 and -inf; a real score of -inf would sort among them, and ids tell them apart
        real = np.argsort(ids < 0, axis=1, kind="stable")
        ids, scores = np.take_along_axis(ids, real, 1), np.take_along_axis(scores, real, 1)
        if rows is not None:
            ids = np.where(ids >= 0, rows[np.maximum(ids, 0)] if len(rows) else -1, -1)
        return Hits(ids, scores, self.counts)


@compiled
def _push(scores: Float32, first: int, keep: Bool, best: Float32, ids: Int64, counts: Int64) -> None:
    k = best.shape[1]
    for query in range(len(scores)):
        heap, held = best[query], ids[query]
        count = counts[query]
        for j in range(scores.shape[1]):
            score = scores[query, j]
            if count == k and not score > heap[0]:
                continue
            if len(keep) > 0 and not keep[j]:
                continue
            if count < k:
                at = count
                count += 1
                while at > 0:  # sift up: the root is the worst, and among equals the one of the highest row
                    above = (at - 1) // 2
                    if heap[above] > score or (heap[above] == score and held[above] < first + j):
                        heap[at], held[at] = heap[above], held[above]
                        at = above
                    else:
                        break
                heap[at], held[at] = score, first + j
                continue
            replace(heap, held, score, first + j)
        counts[query] = count


@compiled
def replace(heap: Float32, held: Int64, score: float, row: int) -> None:
    """Put a score and its row into a full heap (k) in place of the worst, its root."""
    at = 0
    while True:  # sift down from the root that falls out
        child = 2 * at + 1
        if child >= len(heap):
            break
        other = child + 1
        if other < len(heap) and (
            heap[other] < heap[child] or (heap[other] == heap[child] and held[other] > held[child])
        ):
            child = other
        if heap[child] < score or (heap[child] == score and held[child] > row):
            heap[at], held[at] = heap[child], held[child]
            at = child
        else:
            break
    heap[at], held[at] = score, row
