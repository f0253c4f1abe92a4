"""Loops over rows whose pieces the threads take as they come, for what runs between calls of torch.

Its threads go on asking for work for a while after each call, so that one of ours may have to wait for a core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cenote.kernels.threads import shared

_MOST = 8
"""Pieces: more are asked for more often than they even the work out."""


def over_pieces(run: Callable[[int, int], None], n: int, least: int = 1) -> None:
    """Call run(start, stop) over [0, n) in pieces of at least `least`, from as many threads as are free."""
    pieces = max(1, min(_MOST, n // max(1, least)))
    if pieces == 1:
        run(0, n)
        return
    cuts = [n * i // pieces for i in range(pieces + 1)]

    def take(numbers: Iterator[int]) -> None:
        for i in numbers:
            run(cuts[i], cuts[i + 1])

    shared(take, pieces)
