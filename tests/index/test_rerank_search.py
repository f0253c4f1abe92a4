"""A rerank is the first pass, cut, scored again from the finer copy and sorted; nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.index import Flat, Index, Rerank

Matrix = NDArray[np.float32]
SEVERAL: list[list[tuple[str, int]]] = [
    [("float32", 10)],
    [("int8", 25)],
    [("int8", 30), ("float32", 8)],
    [("float8", 8), ("float32", 30)],
    [("int8", 40), ("bf16", 20), ("float32", 5)],
]
every_chain = pytest.mark.parametrize("chain", SEVERAL, ids=lambda chain: "-".join(f"{w}{n}" for w, n in chain))


def eighths(rows: int, dim: int, seed: int = 0) -> Matrix:
    """Whole eighths in [-1, 1]: every float codec holds them exactly and their products add up without rounding."""
    return np.random.default_rng(seed).integers(-8, 9, (rows, dim)).astype(np.float32) / 8


def built(x: Matrix, chain: list[tuple[str, int]], codec: str = "binary") -> Index:
    return Flat.build(x, codec=codec, rerank=[Rerank(word, n) for word, n in chain])


def all_scores(x: Matrix, queries: Matrix, codec: str) -> Matrix:
    """The score of every row under one codec."""
    index = Flat.build(x, codec=codec)
    return index.score(queries, np.tile(np.arange(len(x)), (len(queries), 1)))


def in_order(scores: Matrix, rows: list[int]) -> list[int]:
    return sorted(rows, key=lambda i: (-float(scores[i]), i))


def two_stage(x: Matrix, queries: Matrix, chain: list[tuple[str, int]], keep: NDArray[np.bool_]) -> list[list[int]]:
    """Every kept row in the order of the first pass, whose first N are sorted again by each finer copy in turn."""
    first = all_scores(x, queries, "binary")
    finer = [(all_scores(x, queries, word), n) for word, n in chain]
    found = []
    for query in range(len(queries)):
        order = in_order(first[query], np.flatnonzero(keep).tolist())
        for scores, n in finer:
            order = in_order(scores[query], order[:n]) + order[n:]
        found.append(order)
    return found


@every_chain
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(0, 60), k=st.integers(1, 70), kept=st.sampled_from([0.1, 0.5, 1.0]), seed=st.integers(0, 99))
def test_it_equals_scoring_in_stages_by_brute_force(
    chain: list[tuple[str, int]], rows: int, k: int, kept: float, seed: int
) -> None:
    x, queries = eighths(rows, 12, seed), eighths(3, 12, seed + 1)
    keep = np.random.default_rng(seed).random(rows) < kept
    hits = built(x, chain).search(queries, k, keep=keep)
    for ids, count, expected in zip(hits.ids, hits.counts, two_stage(x, queries, chain, keep), strict=True):
        assert ids[:count].tolist() == expected[:k]
        assert (ids[count:] == -1).all()


@every_chain
def test_the_first_n_have_the_scores_of_the_finer_copy(chain: list[tuple[str, int]]) -> None:
    x, queries = eighths(60, 12), eighths(3, 12, seed=1)
    word, n = chain[-1]
    index = built(x, chain)
    hits = index.search(queries, 60)
    assert np.array_equal(hits.scores[:, :n], np.take_along_axis(all_scores(x, queries, word), hits.ids[:, :n], 1))
    assert np.array_equal(index.score(queries, hits.ids), np.take_along_axis(all_scores(x, queries, word), hits.ids, 1))


@every_chain
@pytest.mark.parametrize("k", [3, 20, 60, 80])
def test_scores_fall_along_the_row_beyond_what_was_scored_again(chain: list[tuple[str, int]], k: int) -> None:
    hits = built(eighths(60, 12), chain).search(eighths(5, 12, seed=1), k)
    for scores, count in zip(hits.scores, hits.counts, strict=True):
        assert np.isfinite(scores[:count]).all()
        assert (np.diff(scores[:count]) <= 0).all()
        assert (scores[count:] == -np.inf).all()


@every_chain
def test_asking_for_more_keeps_what_fewer_gave(chain: list[tuple[str, int]]) -> None:
    index, queries = built(eighths(60, 12), chain), eighths(5, 12, seed=1)
    most = index.search(queries, 60)
    for k in (1, 7, 30):
        assert np.array_equal(index.search(queries, k).ids, most.ids[:, :k])


def test_a_rerank_of_every_row_is_the_exact_search() -> None:
    generator = np.random.default_rng(0)
    x, queries = (generator.normal(size=(n, 48)).astype(np.float32) for n in (300, 6))
    for codec in ("binary", "int8", "float8"):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        hits = built(x, [("float32", 300)], codec).search(queries, 20)
        exact = Flat.build(x).search(queries, 20)
        assert np.array_equal(hits.ids, exact.ids)
        np.testing.assert_allclose(hits.scores, exact.scores, rtol=1e-5, atol=1e-6)


def test_equal_scores_of_the_finer_copy_come_lowest_row_first() -> None:
    x = np.tile(eighths(1, 8), (30, 1))
    hits = built(x, [("float32", 10)]).search(eighths(2, 8, seed=1), 30)
    assert hits.ids.tolist() == [list(range(30))] * 2


def test_a_rerank_named_by_a_word_re_scores_a_hundred() -> None:
    x, queries = eighths(150, 12), eighths(3, 12, seed=1)
    one, other = Flat.build(x, codec="binary", rerank="float32"), built(x, [("float32", 100)])
    assert np.array_equal(one.search(queries, 150).ids, other.search(queries, 150).ids)


def test_a_batch_of_queries_answers_as_each_alone() -> None:
    x, queries = eighths(80, 12), eighths(6, 12, seed=1)
    index = built(x, [("int8", 30), ("float32", 8)])
    together = index.search(queries, 20)
    for query in range(6):
        alone = index.search(queries[query : query + 1], 20)
        assert np.array_equal(alone.ids[0], together.ids[query])
        assert np.array_equal(alone.scores[0], together.scores[query])


def test_no_queries_have_no_hits() -> None:
    hits = built(eighths(20, 8), [("float32", 5)]).search(np.zeros((0, 8), np.float32), 7)
    assert hits.ids.shape == hits.scores.shape == (0, 7)


def test_a_selection_is_scored_again_as_deep_as_the_whole() -> None:
    x, queries, chain = eighths(60, 12), eighths(3, 12, seed=1), [("int8", 20), ("float32", 5)]
    keep = np.arange(60) % 2 == 0
    selected, rebuilt = built(x, chain).select(keep), built(x[keep], chain)
    a, b = selected.search(queries, 30), rebuilt.search(queries, 30)
    assert np.array_equal(a.ids, b.ids)
    assert np.array_equal(a.scores, b.scores)
