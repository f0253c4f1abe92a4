"""The engine of words: equal to brute force, whatever the parts, and to bm25s where that is installed."""

from collections.abc import Sequence
from itertools import pairwise
from math import log1p
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.arrays import Sparse as Rows
from cenote.errors import CorruptIndex
from cenote.index import open_index
from cenote.index.sparse import Saturation, Sparse

WIDTH = 12
DIM = 2**63
BM25 = Saturation(1.5, 0.75)
quick = settings(max_examples=30, deadline=None)


def drawn(rows: int, seed: int, share: float = 0.4) -> NDArray[np.float32]:
    """Counts (rows, WIDTH), many of them 0."""
    generator = np.random.default_rng(seed)
    return (generator.integers(1, 9, (rows, WIDTH)) * (generator.random((rows, WIDTH)) < share)).astype(np.float32)


def compressed(dense: NDArray[np.float32]) -> Rows:
    """The same as sparse rows; the columns lie far apart, as hashes of words do."""
    rows, columns = np.nonzero(dense)
    indptr = np.searchsorted(rows, np.arange(len(dense) + 1)).astype(np.int64)
    return Rows(indptr, columns.astype(np.int64) * 2**58, dense[rows, columns], DIM)


def brute(
    dense: NDArray[np.float32], queries: NDArray[np.float32], alive: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """BM25 of every row, by its definition, in float64."""
    live = dense if alive is None else dense[alive]
    lengths, mean = dense.sum(1), max(live.sum(1).mean() if len(live) else 0, 1e-9)
    df = (live > 0).sum(0)
    idf = np.array([log1p((len(live) - n + 0.5) / (n + 0.5)) for n in df])
    norms = BM25.k1 * (1 - BM25.b + BM25.b * lengths / mean)
    return queries @ (idf * dense / np.maximum(dense + norms[:, None], 1e-9)).T.astype(np.float64)


def parts_of(dense: NDArray[np.float32], folder: Path, cuts: Sequence[int]) -> Sparse:
    """The rows saved in several folders and opened as one index."""
    edges, folders = [0, *sorted(cuts), len(dense)], []
    for n, (start, stop) in enumerate(pairwise(edges)):
        folders.append(folder / str(n))
        Sparse.build(compressed(dense[start:stop]), saturation=BM25).save(folders[-1])
    return Sparse.open(folders)


def check_best(found: Sparse, queries: NDArray[np.float32], scores: NDArray[np.float64], k: int) -> None:
    """Hits are the k best rows above 0, best first, with these scores."""
    hits = found.search(compressed(queries), k)
    for query, expected in enumerate(scores):
        count = int(hits.counts[query])
        assert count == min(k, int((expected > 0).sum()))
        mine = hits.ids[query, :count]
        assert len(set(mine.tolist())) == count
        np.testing.assert_allclose(hits.scores[query, :count], expected[mine], rtol=1e-5)
        np.testing.assert_allclose(hits.scores[query, :count], np.sort(expected)[::-1][:count], rtol=1e-5)
        assert (hits.ids[query, count:] == -1).all()


@quick
@given(rows=st.integers(1, 30), k=st.integers(1, 40), seed=st.integers(0, 9999))
def test_bm25_is_its_definition(rows: int, k: int, seed: int) -> None:
    dense, queries = drawn(rows, seed), drawn(3, seed + 1)
    check_best(Sparse.build(compressed(dense), saturation=BM25), queries, brute(dense, queries), k)


@quick
@given(rows=st.integers(1, 30), k=st.integers(1, 40), seed=st.integers(0, 9999))
def test_without_saturation_it_is_the_product(rows: int, k: int, seed: int) -> None:
    dense, queries = drawn(rows, seed) / 8, drawn(3, seed + 1)
    check_best(Sparse.build(compressed(dense)), queries, (queries @ dense.T).astype(np.float64), k)


def test_parts_answer_as_one(tmp_path: Path) -> None:
    dense, queries = drawn(40, 1), drawn(8, 2)
    whole = Sparse.build(compressed(dense), saturation=BM25).search(compressed(queries), 10)
    for n, cuts in enumerate([(), (7,), (0, 13, 13, 40)]):
        found = parts_of(dense, tmp_path / str(n), cuts).search(compressed(queries), 10)
        assert (found.ids == whole.ids).all()
        np.testing.assert_array_equal(found.scores, whole.scores)


@quick
@given(rows=st.integers(1, 30), seed=st.integers(0, 9999))
def test_scores_of_named_rows_are_those_of_a_search(rows: int, seed: int) -> None:
    dense, queries = drawn(rows, seed), drawn(4, seed + 1)
    index = Sparse.build(compressed(dense), saturation=BM25)
    hits = index.search(compressed(queries), rows)
    again = index.score(compressed(queries), hits.ids)
    np.testing.assert_allclose(again, hits.scores, rtol=1e-6)
    everything = index.score(compressed(queries), np.tile(np.arange(rows), (4, 1)))
    np.testing.assert_allclose(everything, brute(dense, queries), rtol=1e-5, atol=1e-7)


def test_the_dead_count_for_nothing(tmp_path: Path) -> None:
    dense, queries = drawn(40, 3), drawn(8, 4)
    alive = np.random.default_rng(5).random(40) < 0.6
    index = parts_of(dense, tmp_path, (11, 30))
    index.living(alive)
    hits = index.search(compressed(queries), 40, keep=alive)
    expected = brute(dense, queries, alive)
    for query in range(8):
        mine = hits.ids[query, : hits.counts[query]]
        assert alive[mine].all()
        np.testing.assert_allclose(hits.scores[query, : len(mine)], expected[query][mine], rtol=1e-5)


def test_a_filter_changes_no_score(tmp_path: Path) -> None:
    dense, queries = drawn(40, 3), drawn(8, 4)
    keep = np.random.default_rng(5).random(40) < 0.3
    index = parts_of(dense, tmp_path, (11,))
    hits, expected = index.search(compressed(queries), 40, keep=keep), brute(dense, queries)
    for query in range(8):
        mine = hits.ids[query, : hits.counts[query]]
        assert sorted(mine.tolist()) == np.flatnonzero(keep & (expected[query] > 0)).tolist()
        np.testing.assert_allclose(hits.scores[query, : len(mine)], expected[query][mine], rtol=1e-5)


def test_leaving_rows_behind_changes_no_ranking(tmp_path: Path) -> None:
    dense, queries = drawn(40, 6), drawn(8, 7)
    alive = np.random.default_rng(8).random(40) < 0.5
    index = parts_of(dense, tmp_path, (11, 30))
    index.living(alive)
    before = index.search(compressed(queries), 40, keep=alive)
    after = index.select(alive).search(compressed(queries), 40)
    kept = np.flatnonzero(alive)
    assert (np.where(after.ids >= 0, kept[np.maximum(after.ids, 0)], -1) == before.ids).all()
    np.testing.assert_array_equal(after.scores, before.scores)
    fresh = Sparse.build(compressed(dense[alive]), saturation=BM25)
    assert index.select(alive).nbytes().index == fresh.nbytes().index


def test_equal_scores_come_lowest_row_first() -> None:
    dense = np.tile(drawn(1, 9, share=1.0), (20, 1))
    hits = Sparse.build(compressed(dense), saturation=BM25).search(compressed(dense[:1]), 7)
    assert hits.ids[0].tolist() == list(range(7))


def test_k1_of_0_asks_only_whether_a_word_is_there() -> None:
    index = Sparse.build(compressed(np.array([[1.0] * WIDTH, [9.0] * WIDTH], np.float32)), saturation=Saturation(0, 1))
    hits = index.search(compressed(np.ones((1, WIDTH), np.float32)), 2)
    assert hits.scores[0, 0] == hits.scores[0, 1]
    assert np.isfinite(index.score(compressed(np.eye(WIDTH, dtype=np.float32)), np.zeros((WIDTH, 1), np.int64))).all()


def test_no_rows_and_no_words_find_nothing() -> None:
    nothing = Sparse.build(compressed(np.zeros((0, WIDTH), np.float32)), saturation=BM25)
    assert nothing.search(compressed(drawn(2, 1)), 3).counts.tolist() == [0, 0]
    empty = Sparse.build(compressed(np.zeros((3, WIDTH), np.float32)), saturation=BM25)
    assert empty.search(compressed(drawn(2, 1)), 3).counts.tolist() == [0, 0]
    assert empty.select(np.array([True, False, True])).search(compressed(drawn(1, 1)), 3).counts.tolist() == [0]


def test_words_that_no_row_holds_leave_nothing_behind() -> None:
    index = Sparse.build(compressed(np.eye(4, WIDTH, dtype=np.float32)), saturation=BM25)
    strange = np.zeros((1, WIDTH), np.float32)
    strange[0, 4:] = 1
    assert index.search(compressed(strange)).counts.tolist() == [0]
    assert not index._statistics._idf


def test_many_threads_answer_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, queries = drawn(200, 1), drawn(33, 2)
    index = Sparse.build(compressed(dense), saturation=BM25)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = index.search(compressed(queries), 10)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    together = index.search(compressed(queries), 10)
    np.testing.assert_array_equal(alone.ids, together.ids)
    np.testing.assert_array_equal(alone.scores, together.scores)


def test_bytes_are_those_of_the_arrays_and_the_files(tmp_path: Path) -> None:
    index = parts_of(drawn(40, 1), tmp_path, (20,))
    held = index.nbytes()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert held.disk == sum(file.stat().st_size for file in files)
    assert held.index == sum(file.stat().st_size for file in files if file.suffix == ".bin")


def test_bm25s_finds_the_same() -> None:
    bm25s = pytest.importorskip("bm25s")
    dense, queries = drawn(60, 1), (drawn(8, 2, share=0.3) > 0).astype(np.float32)
    corpus = [[f"w{c}" for c in np.flatnonzero(row) for _ in range(int(row[c]))] for row in dense]
    peer = bm25s.BM25(method="lucene", k1=BM25.k1, b=BM25.b)
    peer.index(corpus, show_progress=False)
    mine = Sparse.build(compressed(dense), saturation=BM25).score(
        compressed(queries), np.tile(np.arange(60), (8, 1)).astype(np.int64)
    )
    for query, row in zip(queries, mine, strict=True):
        np.testing.assert_allclose(peer.get_scores([f"w{c}" for c in np.flatnonzero(query)]), row, rtol=1e-5, atol=1e-6)


def test_what_is_no_sparse_row_is_refused() -> None:
    index = Sparse.build(compressed(drawn(5, 1)), saturation=BM25)
    with pytest.raises(TypeError, match="queries must be sparse"):
        index.search(np.zeros((1, WIDTH), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dimensions"):
        index.search(Rows(np.zeros(2, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), 7))
    with pytest.raises(ValueError, match="k must"):
        index.search(compressed(drawn(1, 1)), 0)
    with pytest.raises(ValueError, match="keep"):
        index.search(compressed(drawn(1, 1)), keep=np.ones(4, np.bool_))
    with pytest.raises(ValueError, match="ids"):
        index.score(compressed(drawn(1, 1)), np.array([[5]]))
    with pytest.raises(ValueError, match="count"):
        Sparse.build(compressed(-drawn(5, 1)), saturation=BM25)
    with pytest.raises(ValueError, match="finite"):
        Sparse.build(compressed(drawn(5, 1) * np.float32(np.nan)))


@pytest.mark.parametrize("name", ["words", "starts", "rows", "values", "lengths"])
def test_a_file_cut_short_is_named(name: str, tmp_path: Path) -> None:
    parts_of(drawn(10, 1), tmp_path, ())
    file = tmp_path / "0" / f"{name}.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CorruptIndex, match=name):
        open_index(tmp_path / "0")


def test_a_flipped_row_number_writes_nowhere(tmp_path: Path) -> None:
    parts_of(drawn(10, 1), tmp_path, ())
    file = tmp_path / "0" / "rows.bin"
    rows = np.fromfile(file, "<i4")
    rows[:] = 2**31 - 1
    rows[1::2] = -5
    rows.tofile(file)
    index = Sparse.open(tmp_path / "0")
    assert index.search(compressed(drawn(3, 2)), 5).counts.tolist() == [0, 0, 0]
    with pytest.raises(CorruptIndex, match="row"):
        index.select(np.ones(10, np.bool_))
