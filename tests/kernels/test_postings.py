"""Inverted lists hold what the rows held, and adding them up is the sparse product."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.kernels.postings import add_products, add_saturated, count_live, invert

DIM = 9


def drawn(rows: int, seed: int) -> NDArray[np.float32]:
    """A dense matrix (rows, DIM) with many zeros; its entries are small whole numbers, so sums are exact."""
    generator = np.random.default_rng(seed)
    return (generator.integers(1, 9, (rows, DIM)) * (generator.random((rows, DIM)) < 0.4)).astype(np.float32)


def compressed(dense: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    rows, columns = np.nonzero(dense)
    indptr = np.searchsorted(rows, np.arange(len(dense) + 1)).astype(np.int64)
    return indptr, columns.astype(np.int64), dense[rows, columns]


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
def test_adding_the_lists_of_a_query_is_the_product_with_every_row(rows: int, seed: int) -> None:
    dense, query = drawn(rows, seed), drawn(1, seed + 1)[0]
    starts, listed, values = invert(*compressed(dense), DIM)
    scores = np.zeros(rows, np.float32)
    for column in np.flatnonzero(query):
        part = slice(starts[column], starts[column + 1])
        add_products(scores, listed[part], values[part], float(query[column]))
    assert scores.tolist() == (dense @ query).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_a_saturated_term_is_weight_times_tf_over_tf_plus_norm(dtype: type[np.generic]) -> None:
    rows, counts = np.array([4, 0, 2], np.int32), np.array([1, 3, 200], dtype)
    norms = np.array([0.5, 9, 1.5, 9, 2.5], np.float32)
    scores = np.full(5, 10, np.float32)
    add_saturated(scores, rows, counts, norms, 1.75)
    expected = np.full(5, 10.0)
    expected[rows] += 1.75 * counts.astype(np.float64) / (counts.astype(np.float64) + norms[rows])
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_a_list_of_nothing_adds_nothing() -> None:
    scores, nothing = np.ones(3, np.float32), np.zeros(0, np.float32)
    add_products(scores, nothing.astype(np.int32), nothing, 2.0)
    add_saturated(scores, nothing.astype(np.int32), nothing, np.ones(3, np.float32), 2.0)
    assert scores.tolist() == [1, 1, 1]


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.booleans(), min_size=10, max_size=10))
@settings(deadline=None)
def test_live_postings_are_those_that_point_at_live_rows(rows: list[int], live: list[bool]) -> None:
    assert count_live(np.array(rows, np.int32), np.array(live, np.bool_)) == sum(live[row] for row in rows)
