"""Hamming distances are the number of bits that differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.kernels.hamming import hamming


def drawn(rows: int, width: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (rows, width), dtype=np.uint8)


def brute_force(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Unpack and compare bit by bit."""
    return (np.unpackbits(a, axis=1)[:, None] != np.unpackbits(b, axis=1)[None]).sum(axis=2)


@settings(max_examples=40, deadline=None)
@given(queries=st.integers(0, 4), rows=st.integers(0, 30), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_it_counts_the_bits_that_differ_for_any_width(queries: int, rows: int, width: int, seed: int) -> None:
    a, b = drawn(queries, width, seed), drawn(rows, width, seed + 1)
    got = hamming(a, b)
    assert got.dtype == np.int32
    assert np.array_equal(got, brute_force(a, b))


def test_every_pair_of_bytes_is_counted_right() -> None:
    every = np.arange(256, dtype=np.uint8)[:, None]
    expected = [[(i ^ j).bit_count() for j in range(256)] for i in range(256)]
    assert hamming(every, every).tolist() == expected


def test_rows_need_not_lie_together() -> None:
    wide = drawn(40, 48, 0)
    assert np.array_equal(hamming(wide[::3, :16], wide[::2, 16:32]), brute_force(wide[::3, :16], wide[::2, 16:32]))


def test_the_number_of_threads_never_changes_a_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = drawn(3, 11, 0), drawn(20_000, 11, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = hamming(a, b)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert np.array_equal(hamming(a, b), alone)
    assert np.array_equal(alone, brute_force(a, b))
