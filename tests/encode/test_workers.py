"""Batches on several threads come back in their order, and errors with them."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from cenote.encode.workers import in_order
from cenote.kernels import threads


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")


def waiting(number: int, seconds: float) -> Callable[[], tuple[int, str]]:
    def task() -> tuple[int, str]:
        time.sleep(seconds)
        return number, threading.current_thread().name

    return task


@pytest.mark.parametrize("concurrent", [True, False])
def test_results_come_in_the_order_of_the_tasks(concurrent: bool) -> None:
    tasks = [waiting(i, 0.01 * (i % 3 == 0)) for i in range(40)]
    assert [number for number, _ in in_order(tasks, concurrent=concurrent)] == list(range(40))


def test_tasks_run_at_the_same_time() -> None:
    meeting = threading.Barrier(4, timeout=60)
    assert sorted(in_order([meeting.wait] * 4, concurrent=True)) == [0, 1, 2, 3]


def test_a_task_alone_runs_here_with_every_core() -> None:
    here = threading.current_thread().name
    assert list(in_order([waiting(7, 0)], concurrent=True)) == [(7, here)]
    assert list(in_order([torch.get_num_threads], concurrent=True)) == [torch.get_num_threads()]
    assert {name for _, name in in_order([waiting(i, 0) for i in range(9)], concurrent=False)} == {here}


def test_tasks_beside_others_compute_with_one_thread_each_and_nobody_else_loses_any() -> None:
    before = torch.get_num_threads()
    assert list(in_order([torch.get_num_threads] * 9, concurrent=True)) == [1] * 9

    def pieces() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        threads.over_ranges(lambda start, stop: found.append((start, stop)), 100)
        return found

    assert list(in_order([pieces] * 2, concurrent=True)) == [[(0, 100)]] * 2
    assert len(pieces()) == 4
    assert torch.get_num_threads() == before
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [before]


def test_tasks_are_drawn_only_a_little_ahead() -> None:
    drawn = 0

    def tasks() -> Iterator[Callable[[], int]]:
        nonlocal drawn
        for i in range(1_000):
            drawn += 1
            yield lambda i=i: i

    for i, found in enumerate(in_order(tasks(), concurrent=True)):
        assert found == i
        assert drawn <= i + 10


def test_an_error_comes_where_its_result_would() -> None:
    tasks: list[Callable[[], int]] = [lambda: 1, lambda: 2, lambda: 1 // 0, lambda: 4]
    results = in_order(tasks, concurrent=True)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)
