"""Flat finds what scoring every row and sorting finds, to the bit, however the work is cut."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote import registry
from cenote.arrays import Hits
from cenote.compress import Codec, Int8
from cenote.index import Flat, flat

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "float8": [{}, {"format": "e5m2"}, {"scale": "fitted"}],
    "int8": [{"per": "row"}, {"per": "dim"}],
}
CODECS = [
    pytest.param(row.word, options, id="-".join([row.word, *map(str, options.values())]))
    for row in registry.rows("codec")
    if row.built
    for options in VARIANTS.get(row.word, [{}])
]
every_codec = pytest.mark.parametrize(("word", "options"), CODECS)
Matrix = NDArray[np.float32]


def eighths(rows: int, dim: int, seed: int = 0, most: int = 8) -> Matrix:
    """Whole eighths in [-1, 1]: every float codec holds them exactly and their products add up without rounding."""
    return np.random.default_rng(seed).integers(-most, most + 1, (rows, dim)).astype(np.float32) / 8


def made(word: str, options: dict[str, Any], x: Matrix) -> Codec:
    codec: Codec = registry.make(word, ("codec",), **options)
    codec.fit(x)
    return codec


def brute_force(scores: Matrix, k: int, keep: NDArray[np.bool_] | None = None) -> Hits:
    """Sort every kept row by score descending, then row ascending, and cut at k."""
    n = scores.shape[1]
    rows = np.arange(n) if keep is None else np.flatnonzero(keep)
    ids = np.full((len(scores), k), -1, np.int64)
    best = np.full((len(scores), k), -np.inf, np.float32)
    for query, row in enumerate(scores):
        order = sorted(rows.tolist(), key=lambda i: (-row[i], i))[:k]
        ids[query, : len(order)], best[query, : len(order)] = order, row[order]
    return Hits(ids, best, np.full(len(scores), min(k, len(rows)), np.int64))


def assert_equal(found: Hits, expected: Hits) -> None:
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.counts, expected.counts)
    assert (found.ids.dtype, found.scores.dtype, found.counts.dtype) == (np.int64, np.float32, np.int64)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and tiles so small that a handful of rows takes several."""
    monkeypatch.setattr(flat, "BLOCK_ROWS", 7)
    monkeypatch.setattr(flat, "PIECE_BYTES", 0)
    monkeypatch.setattr(flat, "TILE_QUERIES", 3)


@every_codec
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 60), k=st.integers(1, 70), dim=st.sampled_from([1, 3, 8, 17]), seed=st.integers(0, 99))
def test_it_equals_brute_force(word: str, options: dict[str, Any], rows: int, k: int, dim: int, seed: int) -> None:
    x, queries = eighths(rows, dim, seed), eighths(4, dim, seed + 1)
    codec = made(word, options, x)
    scores = codec.scorer(queries, dim)(codec.encode(x))
    assert_equal(Flat.build(x, codec=codec).search(queries, k), brute_force(scores, k))


@every_codec
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.usefixtures("small_blocks")
def test_it_finds_the_best_of_the_rows_that_are_kept(word: str, options: dict[str, Any], kept: float) -> None:
    x, queries = eighths(60, 9), eighths(5, 9, seed=1)
    keep = np.random.default_rng(2).random(60) < kept
    codec = made(word, options, x)
    scores = codec.scorer(queries, 9)(codec.encode(x))
    assert_equal(Flat.build(x, codec=codec).search(queries, 12, keep=keep), brute_force(scores, 12, keep))


@every_codec
@pytest.mark.usefixtures("small_blocks")
def test_blocks_and_tiles_never_change_the_answer(word: str, options: dict[str, Any]) -> None:
    x, queries = eighths(50, 9), eighths(8, 9, seed=1)
    codec = made(word, options, x)
    scores = codec.scorer(queries, 9)(codec.encode(x))
    assert_equal(Flat.build(x, codec=codec).search(queries, 20), brute_force(scores, 20))


def test_it_finds_the_nearest_by_the_product_itself() -> None:
    generator = np.random.default_rng(0)
    x, queries = (generator.normal(size=(n, 64)).astype(np.float32) for n in (3000, 40))
    hits = Flat.build(x).search(queries, 10)
    exact = queries.astype(np.float64) @ x.astype(np.float64).T
    tolerance = 1e-5 * np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(x, axis=1).max()
    assert (np.abs(np.take_along_axis(exact, hits.ids, 1) - hits.scores) <= tolerance).all()
    assert (np.abs(-np.sort(-exact, axis=1)[:, :10] - hits.scores) <= tolerance).all()


@every_codec
def test_equal_scores_come_lowest_row_first(word: str, options: dict[str, Any]) -> None:
    x = np.tile(eighths(1, 6), (40, 1))
    index = Flat.build(x, codec=registry.make(word, ("codec",), **options))
    assert index.search(eighths(2, 6, seed=1), 15).ids.tolist() == [list(range(15))] * 2


@every_codec
def test_fewer_rows_than_asked_for_leave_places_that_say_so(word: str, options: dict[str, Any]) -> None:
    index = Flat.build(eighths(3, 6), codec=registry.make(word, ("codec",), **options))
    hits = index.search(eighths(2, 6, seed=1), 5)
    assert hits.counts.tolist() == [3, 3]
    assert (hits.ids[:, 3:] == -1).all()
    assert (hits.scores[:, 3:] == -np.inf).all()
    assert sorted(hits.ids[0, :3].tolist()) == [0, 1, 2]


@every_codec
def test_the_score_of_a_row_is_the_score_it_was_found_with(word: str, options: dict[str, Any]) -> None:
    index = Flat.build(eighths(40, 9), codec=registry.make(word, ("codec",), **options))
    queries = eighths(5, 9, seed=1)
    hits = index.search(queries, 50)
    assert np.array_equal(index.score(queries, hits.ids), hits.scores)


@pytest.mark.parametrize("word", ["int8", "binary"])
def test_integer_scores_are_the_same_bits_for_any_cut_of_any_vectors(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    x, queries = (generator.normal(size=(n, 100)).astype(np.float32) for n in (500, 9))
    index = Flat.build(x, codec=word)
    whole = index.search(queries, 500)
    monkeypatch.setattr(flat, "BLOCK_ROWS", 13)
    monkeypatch.setattr(flat, "PIECE_BYTES", 0)
    for query in range(9):
        alone = index.search(queries[query : query + 1], 500)
        assert np.array_equal(alone.scores[0], whole.scores[query])
        assert np.array_equal(alone.ids[0], whole.ids[query])
    assert np.array_equal(index.score(queries, whole.ids), whole.scores)


@pytest.mark.parametrize("word", ["float32", "float16", "bf16", "float8"])
def test_float_scores_move_less_than_the_tolerance_for_any_cut(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    x, queries = (generator.normal(size=(n, 100)) for n in (500, 9))
    x, queries = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, queries))
    index = Flat.build(x, codec=word)
    whole = index.score(queries, np.tile(np.arange(500), (9, 1)))
    monkeypatch.setattr(flat, "BLOCK_ROWS", 13)
    monkeypatch.setattr(flat, "PIECE_BYTES", 0)
    hits = index.search(queries, 30)
    assert (np.abs(np.take_along_axis(whole, hits.ids, 1) - hits.scores) <= 1e-5).all()
    # a row that was left out is no better than the last that was taken
    assert (-np.sort(-whole, axis=1)[:, 29] <= hits.scores[:, -1] + 1e-5).all()


@every_codec
def test_the_number_of_threads_never_changes_the_answer(
    word: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, queries = eighths(20_000, 24), eighths(30, 24, seed=1)
    index = Flat.build(x, codec=registry.make(word, ("codec",), **options))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
            found.append(index.search(queries, 10))
    finally:
        torch.set_num_threads(before)
    assert_equal(found[1], found[0])


@pytest.mark.parametrize("word", ["float32", "int8", "binary"])
def test_searches_at_the_same_time_do_not_meet(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    index = Flat.build(eighths(20_000, 16), codec=word)
    batches = [eighths(5, 16, seed=seed) for seed in range(12)]
    expected = [index.search(queries, 10) for queries in batches]
    with ThreadPoolExecutor(4) as pool:
        for found, alone in zip(pool.map(lambda queries: index.search(queries, 10), batches), expected, strict=True):
            assert_equal(found, alone)


def test_changing_the_vectors_after_building_changes_nothing() -> None:
    for word in ("float32", "int8"):
        x, queries = eighths(30, 8), eighths(3, 8, seed=1)
        index = Flat.build(x, codec=word, rerank="float32")
        expected = index.search(queries, 10)
        x[:] = 0
        assert_equal(index.search(queries, 10), expected)


@every_codec
def test_vectors_of_rows_are_what_their_codes_stand_for(word: str, options: dict[str, Any]) -> None:
    x = eighths(20, 9)
    codec = made(word, options, x)
    index = Flat.build(x, codec=codec)
    assert isinstance(index, Flat)
    rows = np.array([7, 0, 19, 7])
    assert np.array_equal(index.vectors(rows), codec.decode(codec.encode(x[rows]), 9))


@every_codec
def test_an_empty_index_finds_nothing(word: str, options: dict[str, Any]) -> None:
    index = Flat.build(np.zeros((0, 6), np.float32), codec=registry.make(word, ("codec",), **options))
    assert len(index) == 0
    for keep in (None, np.zeros(0, np.bool_)):
        assert_equal(index.search(eighths(2, 6), 3, keep=keep), brute_force(np.zeros((2, 0), np.float32), 3))
    assert (index.score(eighths(2, 6), np.full((2, 1), -1)) == -np.inf).all()


@every_codec
def test_no_queries_have_no_hits(word: str, options: dict[str, Any]) -> None:
    index = Flat.build(eighths(5, 6), codec=registry.make(word, ("codec",), **options))
    hits = index.search(np.zeros((0, 6), np.float32), 3)
    assert hits.ids.shape == hits.scores.shape == (0, 3)
    assert len(hits) == 0


class Unknown(Int8):
    """Codes that no kernel knows."""

    def kernel(self, queries: Matrix, dim: int) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize("kept", [None, 0.0, 0.3])
@pytest.mark.usefixtures("small_blocks")
def test_codes_that_no_kernel_knows_are_scored_by_their_codec(kept: float | None) -> None:
    x, queries = eighths(60, 9), eighths(5, 9, seed=1)
    keep = None if kept is None else np.random.default_rng(2).random(60) < kept
    index, known = Flat.build(x, codec=Unknown()), Flat.build(x, codec="int8")
    assert_equal(index.search(queries, 12, keep=keep), known.search(queries, 12, keep=keep))
    ids = np.array([[3, -1, 59]] * 5)
    assert np.array_equal(index.score(queries, ids), known.score(queries, ids))


def test_many_hits_take_the_queries_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    index, queries = Flat.build(eighths(50, 6)), eighths(7, 6, seed=1)
    whole = index.search(queries, 40)
    monkeypatch.setattr(flat, "TILE_HITS", 90)
    assert_equal(index.search(queries, 40), whole)
