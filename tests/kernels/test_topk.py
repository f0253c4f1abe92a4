"""The best k: score descending, then row ascending, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.kernels.ranking import best
from cenote.kernels.topk import TopK

quick = settings(max_examples=80, deadline=None)


def brute_force(scores: NDArray[np.float32], k: int, keep: NDArray[np.bool_]) -> list[list[tuple[int, float]]]:
    """Every kept row sorted by the rule, cut at k."""
    rows = np.flatnonzero(keep)
    return [sorted(((int(i), float(row[i])) for i in rows), key=lambda hit: (-hit[1], hit[0]))[:k] for row in scores]


def listed(
    ids: NDArray[np.int64], scores: NDArray[np.float32], counts: NDArray[np.int64]
) -> list[list[tuple[int, float]]]:
    return [
        [(int(i), float(s)) for i, s in zip(row[:n], values[:n], strict=True)]
        for row, values, n in zip(ids, scores, counts, strict=True)
    ]


@quick
@given(
    rows=st.integers(0, 60),
    k=st.integers(1, 12),
    values=st.integers(1, 8),
    block=st.integers(1, 20),
    kept=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 999),
)
def test_blocks_pushed_in_order_give_what_sorting_everything_gives(
    rows: int, k: int, values: int, block: int, kept: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, values, (3, rows)).astype(np.float32)  # few values: many ties
    keep = generator.random(rows) < kept
    top = TopK(3, k)
    for start in range(0, rows, block):
        top.push(scores[:, start : start + block], start, keep[start : start + block])
    hits = top.hits()
    assert listed(hits.ids, hits.scores, hits.counts) == brute_force(scores, k, keep)


def test_places_without_a_hit_say_so() -> None:
    top = TopK(1, 4)
    top.push(np.array([[2.0, 3.0]], np.float32), 10)
    hits = top.hits()
    assert hits.ids.tolist() == [[11, 10, -1, -1]]
    assert hits.scores.tolist() == [[3, 2, -np.inf, -np.inf]]
    assert hits.counts.tolist() == [2]


def test_a_row_that_scores_minus_infinity_comes_before_no_row() -> None:
    top = TopK(1, 4)
    top.push(np.array([[-np.inf, 1.0, -np.inf]], np.float32), 0)
    assert top.hits().ids.tolist() == [[1, 0, 2, -1]]


def test_pushed_numbers_can_stand_for_other_rows() -> None:
    top = TopK(1, 3)
    top.push(np.array([[5.0, 5.0, 9.0]], np.float32), 0)
    assert top.hits(np.array([4, 7, 8])).ids.tolist() == [[8, 4, 7]]


def test_the_number_of_threads_never_changes_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).integers(0, 50, (9, 40_000)).astype(np.float32)
    found = []
    for threads in ("1", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        top = TopK(9, 20)
        top.push(scores, 0)
        found.append(top.hits())
    assert np.array_equal(found[0].ids, found[1].ids)
    assert np.array_equal(found[0].scores, found[1].scores)
    assert listed(found[1].ids, found[1].scores, found[1].counts) == brute_force(scores, 20, np.ones(40_000, np.bool_))


@quick
@given(candidates=st.integers(0, 12), k=st.integers(1, 8), seed=st.integers(0, 999))
def test_the_best_of_named_candidates_is_what_sorting_them_gives(candidates: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    ids = np.stack([generator.permutation(40)[:candidates] for _ in range(3)]).astype(np.int64)
    ids[generator.random(ids.shape) < 0.3] = -1
    scores = generator.integers(0, 4, ids.shape).astype(np.float32)
    hits = best(scores, k, ids)
    for row, (names, values) in enumerate(zip(ids, scores, strict=True)):
        real = [(int(i), float(s)) for i, s in zip(names, values, strict=True) if i >= 0]
        expected = sorted(real, key=lambda hit: (-hit[1], hit[0]))[:k]
        assert listed(hits.ids, hits.scores, hits.counts)[row] == expected
