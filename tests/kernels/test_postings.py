"""Inverted lists hold what the rows held, and adding them up is the sparse product."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.kernels.postings import (
    append,
    asked,
    count_live,
    invert,
    numbered,
    score_rows,
    seek,
    seek_near,
    tallied,
)

DIM = 9


def drawn(rows: int, seed: int) -> NDArray[np.float32]:
    """A dense matrix (rows, DIM) with many zeros; its entries are small whole numbers, so sums are exact."""
    generator = np.random.default_rng(seed)
    return (generator.integers(1, 9, (rows, DIM)) * (generator.random((rows, DIM)) < 0.4)).astype(np.float32)


def compressed(dense: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    rows, columns = np.nonzero(dense)
    indptr = np.searchsorted(rows, np.arange(len(dense) + 1)).astype(np.int64)
    return indptr, columns.astype(np.int64), dense[rows, columns]


def products(dense: NDArray[np.float32]) -> tuple[Any, ...]:
    """A part whose words are the columns that stand in a row."""
    starts, rows, values = invert(*compressed(dense), DIM)
    words = np.flatnonzero(np.diff(starts))
    starts = np.append(starts[words], len(rows))
    return words, starts, rows, values, None, np.full(len(words), np.nan, np.float32)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 20), seed=st.integers(0, 999))
def test_inverting_transposes_and_keeps_rows_ascending(rows: int, seed: int) -> None:
    dense = drawn(rows, seed)
    starts, listed, values = invert(*compressed(dense), DIM)
    assert starts[0] == 0
    assert starts[-1] == len(listed) == np.count_nonzero(dense)
    for column in range(DIM):
        part = slice(starts[column], starts[column + 1])
        assert listed[part].tolist() == np.flatnonzero(dense[:, column]).tolist()
        assert values[part].tolist() == dense[listed[part], column].tolist()


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 20), seed=st.integers(0, 999))
def test_rows_score_their_product_with_the_query(rows: int, seed: int) -> None:
    dense, query = drawn(rows, seed), drawn(1, seed + 1)[0]
    lists, wanted = np.flatnonzero(query), np.random.default_rng(seed).permutation(rows)
    scores = score_rows(products(dense), lists, query[lists], wanted)
    assert scores.tolist() == (dense @ query)[wanted].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_a_saturated_term_is_weight_times_tf_over_tf_plus_norm(dtype: type[np.generic]) -> None:
    starts, rows, counts = np.array([0, 1, 3]), np.array([4, 0, 2], np.int32), np.array([1, 3, 200], dtype)
    norms = np.array([0.5, 9, 1.5, 9, 2.5], np.float32)
    weights = np.array([2, 1.75], np.float32)
    part = (np.array([5, 7]), starts, rows, counts, norms, np.full(2, np.nan, np.float32))
    scores = score_rows(part, np.array([5, 7]), weights, np.arange(5))
    expected = np.array([1.75 * 3 / 3.5, 0, 1.75 * 200 / 201.5, 0, 2 * 1 / 3.5])
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_a_row_that_is_not_there_is_passed_over() -> None:
    rows = np.array([-1, 1, 9], np.int32)
    assert count_live(np.array([0, 3]), rows, np.array([0]), np.ones(2, np.bool_)).tolist() == [1]


def test_no_lists_score_nothing() -> None:
    assert score_rows(products(drawn(3, 1)), np.zeros(0, np.int64), np.zeros(0, np.float32), np.arange(3)).tolist() == [
        0,
        0,
        0,
    ]


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, 50), min_size=1, max_size=30, unique=True), row=st.integers(0, 60))
def test_seeking_finds_the_last_place_that_is_not_behind_the_row(rows: list[int], row: int) -> None:
    places = np.searchsorted(np.sort(rows), row, side="right") - 1
    assert seek(np.sort(rows).astype(np.int32), 0, len(rows), row) == max(0, places)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 999), st.floats(0, 1), st.floats(-1, 2), st.integers(0, 40))
def test_seeking_from_any_guess_finds_the_same_place(n: int, seed: int, at: float, guess: float, low: int) -> None:
    rows = np.sort(np.random.default_rng(seed).choice(4 * n, n, replace=False)).astype(np.int32)
    low, row = min(low, n - 1), int(at * 4 * n)
    assert seek_near(rows, low, n - low, row, int(guess * n)) == seek(rows, low, n - low, row)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 20), seed=st.integers(0, 999))
def test_bounds_are_the_greatest_terms_of_the_words_that_are_there(rows: int, seed: int) -> None:
    dense, weights = -drawn(rows, seed), np.arange(-4, DIM - 4).astype(np.float32)
    part = products(dense)
    for _ in range(2):  # computed, and then looked up
        lists, kept, bounds = asked(part, np.arange(DIM), weights)
        there = np.flatnonzero(abs(dense).max(axis=0, initial=0))
        assert part[0][lists].tolist() == there.tolist()
        assert kept.tolist() == weights[there].tolist()
        assert bounds.tolist() == abs(weights * dense).max(axis=0, initial=0)[there].tolist()


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 20), seed=st.integers(0, 999))
def test_appending_the_lists_of_parts_is_inverting_their_rows_together(rows: int, seed: int) -> None:
    dense = drawn(rows + 5, seed)
    keep = np.random.default_rng(seed).random(rows + 5) < 0.6
    numbers = np.where(keep, np.cumsum(keep) - 1, -1)
    starts, listed, values = invert(*compressed(dense[keep]), DIM)
    at, out_rows, out_values = starts[:-1].copy(), np.empty_like(listed), np.empty_like(values)
    for part in (slice(0, 5), slice(5, None)):
        append(at, out_rows, out_values, np.arange(DIM), *invert(*compressed(dense[part]), DIM), numbers[part])
    assert at.tolist() == starts[1:].tolist()
    assert out_rows.tolist() == listed.tolist()
    assert out_values.tolist() == values.tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**63 - 1), max_size=50), st.integers(1, 9))
def test_numbering_tells_values_apart_in_the_order_they_come(values: list[int], times: int) -> None:
    distinct, which = numbered(np.array(values * times, np.int64))
    assert distinct.tolist() == list(dict.fromkeys(values))
    assert distinct[which].tolist() == values * times


def test_numbering_grows_with_what_it_holds() -> None:
    values = np.random.default_rng(0).permutation(20_000).astype(np.int64) << 32
    distinct, which = numbered(np.concatenate([values, values[::-1]]))
    np.testing.assert_array_equal(distinct, values)
    np.testing.assert_array_equal(which, np.concatenate([np.arange(20_000), np.arange(20_000)[::-1]]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=6))
def test_tallies_are_counts(rows: list[list[int]]) -> None:
    offsets = np.cumsum([0] + [len(row) for row in rows]).astype(np.int64)
    indptr, found, counts = tallied(offsets, np.array([c for row in rows for c in row], np.int64))
    for i, row in enumerate(rows):
        part = slice(indptr[i], indptr[i + 1])
        assert list(zip(found[part].tolist(), counts[part].tolist(), strict=True)) == sorted(Counter(row).items())


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.booleans(), min_size=10, max_size=10))
@settings(deadline=None)
def test_live_postings_are_those_that_point_at_live_rows(rows: list[int], live: list[bool]) -> None:
    cut = len(rows) // 2
    starts, listed = np.array([0, cut, len(rows)], np.int64), np.array(rows, np.int32)
    expected = [sum(live[row] for row in part) for part in (rows[cut:], rows[:cut])]
    assert count_live(starts, listed, np.array([1, 0]), np.array(live, np.bool_)).tolist() == expected
