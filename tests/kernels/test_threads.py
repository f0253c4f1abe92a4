"""The pool of threads: every piece once, errors passed on, and usable after a fork."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.kernels import threads

FORKED = """
import os
import numpy as np
from cenote.kernels.hamming import hamming
bits = np.arange(20_000, dtype=np.uint8).reshape(-1, 1)
before = hamming(bits[:2], bits)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(hamming(bits[:2], bits), before) else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("wanted", ["1", "4"])
@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 500), least=st.integers(0, 200))
def test_every_number_of_the_range_is_run_once(wanted: str, n: int, least: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", wanted)
        seen, lock = [], threading.Lock()

        def run(start: int, stop: int) -> None:
            with lock:
                seen.append((start, stop))

        threads.over_ranges(run, n, least=least)
    assert sorted(i for start, stop in seen for i in range(start, stop)) == list(range(n))
    assert len(seen) == 1 or all(stop - start >= least for start, stop in seen)


def test_an_error_in_a_piece_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")

    def run(start: int, stop: int) -> None:
        if start > 0:
            raise ValueError("piece")

    with pytest.raises(ValueError, match="piece"):
        threads.over_ranges(run, 30)


@pytest.mark.parametrize("wanted", ["1", "4"])
@settings(max_examples=30, deadline=None)
@given(pieces=st.integers(0, 200))
def test_every_shared_number_is_taken_once_and_each_thread_takes_its_own_ascending(wanted: str, pieces: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", wanted)
        taken = threads.shared(list, pieces)
    assert sorted(number for mine in taken for number in mine) == list(range(pieces))
    assert all(mine == sorted(mine) for mine in taken)
    assert 1 <= len(taken) <= max(1, min(int(wanted), pieces))


def test_an_error_in_a_shared_piece_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")

    def run(numbers: Iterator[int]) -> None:
        for number in numbers:
            if number == 20:
                raise ValueError("piece")

    with pytest.raises(ValueError, match="piece"):
        threads.shared(run, 30)


@pytest.mark.parametrize(("wanted", "expected"), [("3", 3), ("2,1", 2)])
def test_the_environment_says_how_many(wanted: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert threads.count() == expected


@pytest.mark.parametrize("wanted", ["", "0", "many", "-2"])
def test_a_setting_that_is_no_number_leaves_it_to_the_machine(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert threads.count() >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_can_use_the_kernels() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", FORKED], env=environment, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
