"""Pieces cover every row once, whoever takes them."""

import threading

import pytest

from cenote.kernels import threads
from cenote.kernels.pieces import over_pieces


@pytest.mark.parametrize(("n", "least"), [(0, 1), (1, 1), (7, 3), (100, 1), (100, 1000)])
def test_every_row_is_done_once_in_pieces_that_are_not_too_small(n: int, least: int) -> None:
    done: list[tuple[int, int]] = []
    over_pieces(lambda start, stop: done.append((start, stop)), n, least)
    assert sorted(row for start, stop in done for row in range(start, stop)) == list(range(n))
    assert len(done) == 1 or min(stop - start for start, stop in done) >= least


def test_a_thread_that_computes_alone_asks_no_other() -> None:
    who: set[int] = set()

    def of_one_of_several() -> None:
        threads.alone()
        over_pieces(lambda start, stop: who.add(threading.get_ident()), 100)
        assert who == {threading.get_ident()}
        who.add(0)

    worker = threading.Thread(target=of_one_of_several)
    worker.start()
    worker.join()
    assert 0 in who
