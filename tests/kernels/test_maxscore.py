"""The best rows of inverted lists are those of adding every posting up, to the last bit, whatever is left unread."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cenote.kernels.maxscore import WINDOW, best_rows, in_order
from cenote.kernels.postings import invert

ROWS = 9 * WINDOW + 100
WORDS = 40


def drawn(seed: int) -> tuple[Any, ...]:
    """Lists (words, starts, rows, counts) of ROWS rows: word 3 c stands in about one of c + 1, mostly once."""
    generator = np.random.default_rng(seed)
    held = generator.random((ROWS, WORDS)) < 0.9 / np.arange(1, WORDS + 1) ** 1.3
    rows, columns = np.nonzero(held)
    indptr = np.searchsorted(rows, np.arange(ROWS + 1)).astype(np.int64)
    counts = generator.geometric(0.7, len(rows)).astype(np.float32)
    starts, listed, values = invert(indptr, columns.astype(np.int64), counts, WORDS)
    return 3 * np.arange(WORDS), starts, listed, values.astype(np.uint8)


def every_posting(part: tuple[Any, ...], lists: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (ROWS,), each the float32 sum of its terms in the order of the query."""
    _, starts, rows, values, norms = part
    scores = np.zeros(ROWS, np.float32)
    for c, weight in zip(lists, weights, strict=True):
        mine = slice(starts[c], starts[c + 1])
        tf = values[mine].astype(np.float32)
        scores[rows[mine]] += weight * tf if norms is None else weight * tf / (tf + norms[rows[mine]])
    return scores


def found(
    part: tuple[Any, ...], lists: NDArray[np.int64], weights: NDArray[np.float32], k: int, keep: NDArray[np.bool_]
) -> list[tuple[int, float]]:
    best, held = np.zeros((1, k), np.float32), np.full((1, k), -1, np.int64)
    unknown = np.full(WORDS, np.nan, np.float32)
    best_rows(best, held, 0, (*part, unknown), ROWS, np.array([0, len(lists)]), 3 * lists, weights, keep)
    (count,) = in_order(best, held)
    return list(zip(held[0, :count].tolist(), best[0, :count].tolist(), strict=True))


def expected(scores: NDArray[np.float32], k: int, keep: NDArray[np.bool_]) -> list[tuple[int, float]]:
    allowed = (scores > 0) & keep if len(keep) else scores > 0
    order = np.lexsort((np.arange(ROWS), -scores))
    return [(int(row), float(scores[row])) for row in order if allowed[row]][:k]


@pytest.mark.parametrize("saturated", [True, False])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_the_best_rows_are_those_of_every_posting(saturated: bool, k: int) -> None:
    generator = np.random.default_rng(k)
    norms = generator.uniform(0.5, 2.5, ROWS).astype(np.float32) if saturated else None
    part = (*drawn(1), norms)
    for asked in range(1, 13):
        lists = generator.choice(WORDS, asked, replace=False)
        weights = np.log1p(lists + generator.random(asked)).astype(np.float32)
        for keep in (np.ones(0, np.bool_), generator.random(ROWS) < 0.1):
            assert found(part, lists, weights, k, keep) == expected(every_posting(part, lists, weights), k, keep)


def test_of_equal_scores_the_lowest_rows_are_found() -> None:
    part = (*drawn(2), np.ones(ROWS, np.float32))  # few counts and one norm: most scores are shared by many rows
    lists, weights = np.array([30, 3, 0]), np.array([3, 1, 0.25], np.float32)
    nothing = np.ones(0, np.bool_)
    scores = every_posting(part, lists, weights)
    assert found(part, lists, weights, 50, nothing) == expected(scores, 50, nothing)
    assert len(set(scores[scores > 0].tolist())) < 200


def test_weights_below_0_take_away() -> None:
    generator = np.random.default_rng(3)
    part = (*drawn(3), generator.uniform(0.5, 2.5, ROWS).astype(np.float32))
    for _ in range(10):
        lists = generator.choice(WORDS, 6, replace=False)
        weights = generator.normal(size=6).astype(np.float32)
        nothing = np.ones(0, np.bool_)
        assert found(part, lists, weights, 10, nothing) == expected(every_posting(part, lists, weights), 10, nothing)


def test_parts_that_are_offered_in_turn_give_the_best_of_all() -> None:
    generator = np.random.default_rng(4)
    words, starts, rows, counts = drawn(4)
    norms = generator.uniform(0.5, 2.5, ROWS).astype(np.float32)
    lists, cuts = np.repeat(words, np.diff(starts)), (0, 5 * WINDOW, 5 * WINDOW, ROWS)
    asked = np.array([35, 20, 7, 1])
    weights = np.array([4, 2.5, 1.5, 0.5], np.float32)
    best, held = np.zeros((1, 20), np.float32), np.full((1, 20), -1, np.int64)
    for first, end in pairwise(cuts):
        mine = (rows >= first) & (rows < end)
        begins = np.searchsorted(lists[mine], np.append(words, 3 * WORDS))
        part = (
            words,
            begins,
            rows[mine] - np.int32(first),
            counts[mine],
            norms[first:end],
            np.full(WORDS, np.nan, "f4"),
        )
        best_rows(best, held, first, part, end - first, np.array([0, 4]), 3 * asked, weights, np.ones(0, np.bool_))
    in_order(best, held)
    scores = every_posting((words, starts, rows, counts, norms), asked, weights)
    assert list(zip(held[0].tolist(), best[0].tolist(), strict=True)) == expected(scores, 20, np.ones(0, np.bool_))
