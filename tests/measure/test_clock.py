"""What a recipe took to build does not hang on whether its kernels were compiled before."""

import time
from contextlib import suppress

import numba
import pytest
from numba.core import event

from cenote.measure.clock import Clock


def test_compiling_does_not_count() -> None:
    compiled = numba.njit(lambda x: sum([x * i for i in range(9)]))
    began = time.perf_counter()
    with Clock() as clock:
        compiled(1.0)
    everything = time.perf_counter() - began
    assert compiled.signatures  # it was compiled then
    assert clock.seconds < everything / 2


def test_what_is_no_compiling_counts() -> None:
    compiled = numba.njit(lambda x: x + 1)
    compiled(1)
    with Clock() as clock:
        compiled(2)
        time.sleep(0.05)
    assert clock.seconds >= 0.05


def test_after_an_error_nothing_listens_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    listening: list[object] = []
    monkeypatch.setattr(event, "register", lambda _, listener: listening.append(listener))
    monkeypatch.setattr(event, "unregister", lambda _, listener: listening.remove(listener))
    with suppress(ZeroDivisionError), Clock():
        heard = list(listening)
        _ = 1 // 0
    assert len(heard) == 1
    assert not listening
