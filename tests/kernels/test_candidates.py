"""The candidates kept are the best under the rule, and their keys give back scores and rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.kernels.aligned import aligned
from cenote.kernels.candidates import Candidates, add, best, select

floats = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf])


def offered(scores: list[float], k: int, first: int = 0) -> Candidates:
    found = Candidates(1, k)
    for row, score in enumerate(scores):
        add(found.keys, found.counts, found.limits, k, 0, np.float32(score), first + row)
    return found


@settings(max_examples=100, deadline=None)
@given(scores=st.lists(floats, max_size=150), k=st.integers(1, 40), cut=st.integers(0, 150))
def test_the_best_of_two_threads_are_the_best_of_all(scores: list[float], k: int, cut: int) -> None:
    hits = best([offered(scores[:cut], k), offered(scores[cut:], k, first=len(scores[:cut]))])
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
    assert hits.counts.tolist() == [len(expected)]
    assert hits.ids[0, : len(expected)].tolist() == expected
    assert hits.scores[0, : len(expected)].tolist() == [scores[row] for row in expected]
    assert (hits.ids[0, len(expected) :] == -1).all()
    assert (hits.scores[0, len(expected) :] == -np.inf).all()


def test_the_limit_is_no_number_until_enough_were_seen_and_then_the_worst_that_is_kept() -> None:
    found = offered(list(range(7)), 5)
    assert np.isnan(found.limits[0])
    assert (found.limits[1:] == np.inf).all()
    found = offered(list(range(100)), 5)
    assert 50 < found.limits[0] <= 95


@settings(max_examples=100, deadline=None)
@given(keys=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=120, unique=True), data=st.data())
def test_the_greatest_keys_are_brought_to_the_front(keys: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(keys)))
    array = np.array(keys, np.uint64)
    select(array, k)
    assert sorted(array[:k].tolist(), reverse=True) == sorted(keys, reverse=True)[:k]
    assert sorted(array.tolist()) == sorted(keys)


@pytest.mark.parametrize("shape", [(1,), (3, 17), (0, 4)])
def test_working_memory_begins_a_line_of_the_cache(shape: tuple[int, ...]) -> None:
    room = aligned(shape, np.int32)
    assert room.shape == shape
    assert room.ctypes.data % 64 == 0 or room.size == 0
    assert not room.any()
