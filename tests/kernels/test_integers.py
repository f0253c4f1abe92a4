"""Products of int8 matrices are exact, by either way of computing them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.kernels import integers
from cenote.kernels.integers import integer_products


def drawn(rows: int, dim: int, seed: int) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, (rows, dim), dtype=np.int8)


@pytest.fixture(params=["torch", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Torch's product where it is right, and the one that stands in for it."""
    if request.param == "torch" and not integers._torch_is_exact():
        pytest.skip("this machine's torch has no exact int8 product")
    if request.param == "numpy":
        monkeypatch.setattr(integers, "_torch_is_exact", lambda: False)
    return request.param


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 9, 1), (1, 7, 3), (5, 33, 65), (17, 129, 384), (2, 1, 1024), (64, 3, 96)]
)
def test_it_is_the_exact_product(way: str, shape: tuple[int, int, int]) -> None:
    queries, rows, dim = shape
    a, b = drawn(queries, dim, 0), drawn(rows, dim, 1)
    got = integer_products(a, b)
    assert got.dtype == np.int32
    assert np.array_equal(got, a.astype(np.int64) @ b.astype(np.int64).T)


@pytest.mark.parametrize("extreme", [-128, -127, 127])
def test_the_greatest_sums_do_not_saturate(way: str, extreme: int) -> None:
    a = np.full((3, 4096), extreme, np.int8)
    assert (integer_products(a, a) == 4096 * extreme**2).all()


@pytest.mark.parametrize(("queries", "rows"), [(0, 4), (4, 0), (0, 0)])
def test_no_rows_have_no_products(way: str, queries: int, rows: int) -> None:
    assert integer_products(drawn(queries, 8, 0), drawn(rows, 8, 1)).shape == (queries, rows)


@settings(max_examples=30, deadline=None)
@given(queries=st.integers(1, 9), rows=st.integers(1, 40), dim=st.integers(1, 70), seed=st.integers(0, 99))
def test_it_is_the_exact_product_for_any_shape(queries: int, rows: int, dim: int, seed: int) -> None:
    a, b = drawn(queries, dim, seed), drawn(rows, dim, seed + 1)
    assert np.array_equal(integer_products(a, b), a.astype(np.int64) @ b.astype(np.int64).T)


def test_rows_need_not_lie_together() -> None:
    wide = drawn(30, 64, 0)
    a, b = wide[::3, 8:40], wide[::-1, 8:40]
    assert np.array_equal(integer_products(a, b), a.astype(np.int64) @ b.astype(np.int64).T)


def test_the_number_of_threads_never_changes_a_product() -> None:
    a, b = drawn(40, 384, 0), drawn(3000, 384, 1)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found.append(integer_products(a, b))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
