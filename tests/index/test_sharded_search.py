"""Sharded: whoever holds the rows, the answers are those of one index."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cenote import arrays
from cenote.arrays import Int64
from cenote.index import open_index
from cenote.index.base import Index
from cenote.index.convex import Convex
from cenote.index.flat import Flat
from cenote.index.fused import Fused
from cenote.index.rerank import Rerank
from cenote.index.rrf import RRF
from cenote.index.sharded import Question, Sharded, Share, answer, sharded
from cenote.index.sparse import Saturation, Sparse

SIZES = (40, 7, 90, 63)
ROWS = sum(SIZES)
OWNERS = ((0, 3), (2,), (1,))
"""The segments of each share: not neighbours, and of unlike sizes."""


def vectors(rng: np.random.Generator, rows: int) -> Any:
    # few distinct values, so that equal scores come often
    return rng.integers(-2, 3, (rows, 8)).astype(np.float32) + np.float32(0.25)


def counts(rng: np.random.Generator, rows: int) -> arrays.Sparse:
    held = [np.flatnonzero(rng.random(30) < 0.2) for _ in range(rows)]
    indptr = np.cumsum([0] + [len(one) for one in held])
    return arrays.Sparse(indptr, np.concatenate(held), rng.integers(1, 4, indptr[-1]).astype(np.float32), 2**63)


def dense(rng: np.random.Generator, rows: int) -> Index:
    return Flat.build(vectors(rng, rows), codec="int8")


def reranked(rng: np.random.Generator, rows: int) -> Index:
    return Flat.build(vectors(rng, rows), codec="binary", rerank=[Rerank("int8", 30), Rerank("float32", 9)])


def words(rng: np.random.Generator, rows: int) -> Index:
    return Sparse.build(counts(rng, rows), saturation=Saturation(1.5, 0.75))


def by_ranks(rng: np.random.Generator, rows: int) -> Index:
    return Fused({"words": words(rng, rows), "dense": reranked(rng, rows)}, RRF(N=20))


def by_scores(rng: np.random.Generator, rows: int) -> Index:
    return Fused({"words": words(rng, rows), "dense": dense(rng, rows)}, Convex(0.3, N=20))


KINDS = (dense, reranked, words, by_ranks, by_scores)
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def asked(kind: Callable[..., Index], rng: np.random.Generator) -> Any:
    both = {"words": counts(rng, 6), "dense": vectors(rng, 6)}
    return both["words"] if kind is words else both["dense"] if kind in (dense, reranked) else both


def built(kind: Callable[..., Index], place: Path) -> tuple[Index, Index]:
    """The same segments as one index, and shared out to three that each open their own."""
    rng = np.random.default_rng(3)
    for n, rows in enumerate(SIZES):
        kind(rng, rows).save(place / str(n))
    ends = np.cumsum((0, *SIZES))
    shares = []
    for segments in OWNERS:
        mine = open_index([place / str(n) for n in segments])
        ranges = np.array([[ends[n], ends[n + 1]] for n in segments], np.int64)
        shares.append(Share(ranges, lambda question, mine=mine: lambda: answer(mine, question)))
    folders = [place / str(n) for n in range(len(SIZES))]
    return open_index(folders), sharded(open_index(folders), shares)


@every
@pytest.mark.parametrize("k", [1, 10, 50])
def test_shares_answer_as_one_index_does(kind: Callable[..., Index], k: int, tmp_path: Path) -> None:
    one, several = built(kind, tmp_path)
    queries = asked(kind, np.random.default_rng(4))
    wanted, found = one.search(queries, k), several.search(queries, k)
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_array_equal(found.counts, wanted.counts)


@every
def test_the_living_and_the_kept_are_those_of_all_rows(kind: Callable[..., Index], tmp_path: Path) -> None:
    one, several = built(kind, tmp_path)
    rng = np.random.default_rng(5)
    alive = rng.random(ROWS) < 0.7
    keep = alive & (rng.random(ROWS) < 0.4)
    for index in (one, several):
        index.living(alive)
    queries = asked(kind, rng)
    wanted, found = one.search(queries, 12, keep=keep), several.search(queries, 12, keep=keep)
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert keep[found.ids[found.ids >= 0]].all()


@every
def test_scores_of_rows_are_those_of_whoever_has_them(kind: Callable[..., Index], tmp_path: Path) -> None:
    one, several = built(kind, tmp_path)
    queries, ids = asked(kind, np.random.default_rng(6)), np.random.default_rng(6).integers(-1, ROWS, (6, 15))
    if isinstance(one, Fused):
        wanted, found = one.leg_scores(queries, ids), several.leg_scores(queries, ids)
    else:
        wanted, found = {"": one.score(queries, ids)}, {"": several.score(queries, ids)}
    assert found.keys() == wanted.keys()
    for name, scores in wanted.items():
        np.testing.assert_array_equal(found[name], scores)


def test_bytes_are_those_of_all_rows(tmp_path: Path) -> None:
    one, several = built(by_ranks, tmp_path)
    assert several.nbytes() == one.nbytes()
    several.save(tmp_path / "again")
    assert len(open_index(tmp_path / "again")) == ROWS


def test_numbers_of_a_share_and_of_the_whole_are_each_others_inverse() -> None:
    share = Share(np.array([[3, 5], [9, 12]], np.int64), _unasked)
    outer: Int64 = share.outer(np.array([[0, 1, 2, 3, 4, -1]]))
    np.testing.assert_array_equal(outer, [[3, 4, 9, 10, 11, -1]])
    np.testing.assert_array_equal(share.inner(outer), [[0, 1, 2, 3, 4, -1]])
    np.testing.assert_array_equal(share.inner(np.array([[0, 2, 5, 8, 12, 99]])), [[-1] * 6])


def test_a_row_that_no_share_has_is_an_error() -> None:
    index = dense(np.random.default_rng(0), 10)
    with pytest.raises(ValueError, match="9 rows and the index 10"):
        Sharded(index, [Share(np.array([[0, 9]], np.int64), _unasked)])


def test_what_is_shared_out_says_where_to_ask_instead() -> None:
    index = Sharded(dense(np.random.default_rng(0), 10), [Share(np.array([[0, 10]], np.int64), _unasked)])
    with pytest.raises(ValueError, match="shared out"):
        index.select(np.ones(10, np.bool_))
    with pytest.raises(ValueError, match="open_index"):
        Sharded.open([])


def _unasked(question: Question) -> Callable[[], Any]:
    raise AssertionError("nobody is asked here")
