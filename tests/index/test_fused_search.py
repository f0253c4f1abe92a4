"""Fusion: several indexes of the same rows give one answer, with no score missing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.index import Flat, open_index
from cenote.index.convex import Convex
from cenote.index.fused import Fused, Fusion
from cenote.index.rrf import RRF

quick = settings(max_examples=30, deadline=None)


def drawn(rows: int, dim: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


def fused(rows: int, fusion: Fusion, seed: int = 0) -> Fused:
    """Two dense legs of different widths over the same rows."""
    legs = {"a": Flat.build(drawn(rows, 8, seed)), "b": Flat.build(drawn(rows, 5, seed + 1))}
    return Fused(legs, fusion)


def queries(count: int, seed: int = 7) -> dict[str, NDArray[np.float32]]:
    return {"a": drawn(count, 8, seed), "b": drawn(count, 5, seed + 1)}


def scores(index: Fused, asked: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    rows = np.tile(np.arange(len(index)), (len(asked["a"]), 1))
    return index.leg_scores(asked, rows)


@quick
@given(rows=st.integers(1, 40), k=st.integers(1, 50), seed=st.integers(0, 99))
def test_rrf_sums_the_reciprocal_ranks(rows: int, k: int, seed: int) -> None:
    index, asked = fused(rows, RRF(), seed), queries(3, seed)
    hits = index.search(asked, k)
    expected = np.zeros((3, rows))
    for one in scores(index, asked).values():
        ranks = np.argsort(np.argsort(-one, axis=1, kind="stable"), axis=1)
        expected += 1 / (61 + ranks)
    for query in range(3):
        count = int(hits.counts[query])
        assert count == min(k, rows)
        np.testing.assert_allclose(hits.scores[query, :count], np.sort(expected[query])[::-1][:count], rtol=1e-6)
        np.testing.assert_allclose(hits.scores[query, :count], expected[query][hits.ids[query, :count]], rtol=1e-6)


@quick
@given(rows=st.integers(2, 40), a=st.floats(0, 1), seed=st.integers(0, 99))
def test_convex_weighs_scaled_scores_and_misses_none(rows: int, a: float, seed: int) -> None:
    # every row is a candidate, so scaling over candidates is scaling over all
    index, asked = fused(rows, Convex(a), seed), queries(3, seed)
    hits = index.search(asked, rows)
    legs = [(s - s.min(1, keepdims=True)) / np.ptp(s, axis=1, keepdims=True) for s in scores(index, asked).values()]
    expected = a * legs[0] + (1 - a) * legs[1]
    np.testing.assert_allclose(hits.scores, -np.sort(-expected, axis=1), atol=1e-5)


def test_a_candidate_of_one_leg_has_its_exact_score_of_the_other() -> None:
    index, asked = fused(200, Convex(0.5, N=3)), queries(4)
    hits = index.search(asked, 3)
    for query, legs in enumerate(zip(*scores(index, asked).values(), strict=True)):
        candidates = np.union1d(*(np.argsort(-one)[:3] for one in legs))
        mine = [one[candidates] for one in legs]
        scaled = sum((one - one.min()) / np.ptp(one) for one in mine) / 2
        np.testing.assert_array_equal(hits.ids[query], candidates[np.argsort(-scaled)[:3]])


def test_one_leg_alone_decides_at_the_ends() -> None:
    asked = queries(5)
    for a, name in ((1.0, "a"), (0.0, "b")):
        index = fused(50, Convex(a, N=50))
        alone = index.legs[name].search(asked[name], 10)
        np.testing.assert_array_equal(index.search(asked, 10).ids, alone.ids)


@pytest.mark.parametrize("fusion", [RRF(), Convex(0.3)])
def test_only_kept_rows_are_found(fusion: Fusion) -> None:
    index, asked = fused(60, fusion), queries(4)
    keep = np.random.default_rng(1).random(60) < 0.3
    hits = index.search(asked, 60, keep=keep)
    assert (hits.counts == keep.sum()).all()
    assert keep[hits.ids[hits.ids >= 0]].all()


@pytest.mark.parametrize("fusion", [RRF(20, 50), Convex(0.3, 70)])
def test_what_is_saved_answers_alike_in_several_parts(fusion: Fusion, tmp_path: Path) -> None:
    index, asked = fused(60, fusion), queries(4)
    for n, part in enumerate((slice(0, 25), slice(25, 60))):
        keep = np.zeros(60, np.bool_)
        keep[part] = True
        index.select(keep).save(tmp_path / str(n))
    opened = open_index([tmp_path / "0", tmp_path / "1"])
    np.testing.assert_array_equal(opened.search(asked, 10).ids, index.search(asked, 10).ids)
    assert opened.nbytes().index == index.nbytes().index
    assert opened.nbytes().disk == sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())


def test_legs_and_queries_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same rows"):
        Fused({"a": Flat.build(drawn(3, 4, 0)), "b": Flat.build(drawn(4, 4, 0))}, RRF())
    index = fused(10, RRF())
    with pytest.raises(ValueError, match="queries must be a dict with a, b"):
        index.search({"a": drawn(1, 8, 0)})
    with pytest.raises(ValueError, match="more rows"):
        index.search({"a": drawn(1, 8, 0), "b": drawn(2, 5, 0)})
    with pytest.raises(ValueError, match="leg_scores"):
        index.score(queries(1), np.zeros((1, 1), np.int64))
    fused(10, RRF(60)).save(tmp_path / "0")
    fused(10, RRF(61)).save(tmp_path / "1")
    with pytest.raises(ValueError, match="fuses them otherwise"):
        open_index([tmp_path / "0", tmp_path / "1"])


@pytest.mark.parametrize(("make", "bad"), [(RRF, {"k": -1}), (RRF, {"N": 0}), (Convex, {"a": 1.2}), (Convex, {"N": 0})])
def test_bad_arguments_are_named(make: type[Fusion], bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        make(**bad)
