"""The value types hold what they say and refuse what they cannot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cenote.arrays import Bytes, Ragged, Sparse


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(0, 3))
def test_ragged_gives_back_the_rows_it_was_made_of(lengths: list[int], dim: int) -> None:
    rows = [np.random.default_rng(i).normal(size=(n, dim)) for i, n in enumerate(lengths)]
    ragged = Ragged.from_rows(rows)
    assert len(ragged) == len(rows)
    for row, expected in zip(ragged, rows, strict=True):
        np.testing.assert_array_equal(row, expected.reshape(row.shape))


def test_ragged_selects_rows_in_the_order_asked() -> None:
    ragged = Ragged.from_rows([np.full((i, 2), i) for i in range(4)])
    chosen = ragged.select(np.array([3, 0, 1]))
    assert [len(row) for row in chosen] == [3, 0, 1]
    np.testing.assert_array_equal(ragged[-1], np.full((3, 2), 3))


def test_ragged_refuses_a_row_that_is_not_there() -> None:
    with pytest.raises(IndexError, match="row 4 of 4"):
        Ragged.from_rows([np.zeros((1, 1))] * 4)[4]


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2], [0, 2, 1, 3]])
def test_ragged_refuses_offsets_that_do_not_cover_the_values(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        Ragged(np.zeros((3, 2)), np.array(offsets, np.int64))


def test_sparse_refuses_arrays_that_disagree() -> None:
    with pytest.raises(ValueError, match="indptr"):
        Sparse(np.array([0, 2]), np.zeros(3, np.int32), np.zeros(3, np.float32), 5)
    with pytest.raises(ValueError, match="values"):
        Sparse(np.array([0, 3]), np.zeros(3, np.int32), np.zeros(2, np.float32), 5)


def test_bytes_add_up_part_by_part() -> None:
    both = Bytes(payload=3, disk=10, detail={"codes": 3}) + Bytes(ids=2, disk=5, detail={"codes": 1, "ids": 2})
    assert (both.payload, both.ids, both.index, both.disk) == (3, 2, 5, 15)
    assert both.detail == {"codes": 4, "ids": 2}
