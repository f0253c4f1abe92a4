"""Every index refuses what it cannot search, in a sentence that names the argument."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cenote.errors import UnknownWord
from cenote.index import Flat, Index, Rerank

X = np.random.default_rng(0).uniform(-1, 1, (20, 6)).astype(np.float32)
QUERIES = X[:3]
INDEXES = [
    pytest.param(Flat.build(X), id="flat"),
    pytest.param(Flat.build(X, codec="int8"), id="int8"),
    pytest.param(Flat.build(X, codec="binary", rerank="float32"), id="reranked"),
    pytest.param(Flat.build(X[:0]), id="empty"),
]
every_index = pytest.mark.parametrize("index", INDEXES)


@every_index
@pytest.mark.parametrize("k", [0, -1, -10])
def test_k_is_at_least_one(index: Index, k: int) -> None:
    with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
        index.search(QUERIES, k)


@every_index
@pytest.mark.parametrize("k", [1.0, "3", None, True])
def test_k_is_a_whole_number(index: Index, k: Any) -> None:
    with pytest.raises(TypeError, match="k must be a whole number"):
        index.search(QUERIES, k)


def test_k_may_be_a_whole_number_of_numpy() -> None:
    assert Flat.build(X).search(QUERIES, np.int32(2)).ids.shape == (3, 2)  # type: ignore[arg-type]


@every_index
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_queries_are_finite(index: Index, bad: float) -> None:
    queries = QUERIES.copy()
    queries[1, 4] = bad
    with pytest.raises(ValueError, match="queries holds NaN or infinity in row 1"):
        index.search(queries, 2)
    with pytest.raises(ValueError, match="queries holds NaN or infinity in row 1"):
        index.score(queries, np.zeros((3, 1), np.int64))


@every_index
@pytest.mark.parametrize("width", [1, 5, 7])
def test_queries_are_as_wide_as_the_rows(index: Index, width: int) -> None:
    with pytest.raises(ValueError, match=f"queries has {width} dimensions where 6 are expected"):
        index.search(np.ones((3, width), np.float32), 2)


@every_index
@pytest.mark.parametrize("shape", [(6,), (1, 3, 6), ()])
def test_queries_have_two_axes(index: Index, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"queries must have shape \(rows, dimensions\)"):
        index.search(np.ones(shape, np.float32), 2)


@every_index
@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex64, np.str_])
def test_queries_are_floats(index: Index, dtype: type[np.generic]) -> None:
    with pytest.raises(TypeError, match="queries must hold floats"):
        index.search(np.ones((3, 6)).astype(dtype), 2)


@every_index
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_ask_what_their_float32_asks(index: Index, dtype: type[np.floating[Any]]) -> None:
    queries = QUERIES.astype(dtype)
    expected = index.search(queries.astype(np.float32), 4)
    assert np.array_equal(index.search(queries, 4).ids, expected.ids)


@every_index
@pytest.mark.parametrize("extra", [-1, 1])
def test_a_selection_has_one_boolean_a_row(index: Index, extra: int) -> None:
    keep = np.ones(max(0, len(index) + extra) or 3, np.bool_)
    with pytest.raises(ValueError, match=f"keep must be {len(index)} booleans"):
        index.search(QUERIES, 2, keep=keep)
    with pytest.raises(ValueError, match=f"keep must be {len(index)} booleans"):
        index.select(keep)


@pytest.mark.parametrize(
    "keep", [np.ones(20, np.uint8), np.arange(20), np.ones((20, 1), np.bool_)], ids=["bytes", "rows", "column"]
)
def test_a_selection_is_of_booleans(keep: NDArray[Any]) -> None:
    for index in (Flat.build(X), Flat.build(X, codec="binary", rerank="float32")):
        with pytest.raises(ValueError, match="keep must be 20 booleans"):
            index.search(QUERIES, 2, keep=keep)
        with pytest.raises(ValueError, match="keep must be 20 booleans"):
            index.select(keep)


@pytest.mark.parametrize("ids", [[[0, 20]] * 3, [[99, -1]] * 3])
def test_rows_that_are_not_there_have_no_score(ids: list[list[int]]) -> None:
    for index in (Flat.build(X), Flat.build(X, codec="binary", rerank="float32")):
        with pytest.raises(ValueError, match=r"rows must lie in 0\.\.19"):
            index.score(QUERIES, np.array(ids))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (3, 1, 1)])
def test_rows_to_score_come_in_one_list_a_query(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ids must have one row for each of the 3 queries"):
        Flat.build(X).score(QUERIES, np.zeros(shape, np.int64))


def test_rows_to_score_are_whole_numbers() -> None:
    with pytest.raises(TypeError, match="ids must hold whole numbers"):
        Flat.build(X).score(QUERIES, np.zeros((3, 2), np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize(("bad", "error"), [(np.ones(6), ValueError), (np.ones((3, 6), np.int64), TypeError)])
def test_vectors_to_index_are_floats_of_two_axes(bad: NDArray[Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="vectors must"):
        Flat.build(bad)


@pytest.mark.parametrize("codec", ["float32", "int8", "binary", "float8", "bf16", "float16"])
def test_vectors_with_nan_are_refused_and_their_row_named(codec: str) -> None:
    broken = X.copy()
    broken[11, 0] = np.nan
    with pytest.raises(ValueError, match="vectors holds NaN or infinity in row 11"):
        Flat.build(broken, codec=codec)


def test_a_codec_that_is_none_is_met_with_the_nearest() -> None:
    with pytest.raises(UnknownWord, match="no word `float7`; nearest: `float8`"):
        Flat.build(X, codec="float7")
    with pytest.raises(UnknownWord, match="nearest: `int8`"):
        Flat.build(X, codec="binary", rerank="int9")


@pytest.mark.parametrize("N", [0, -5])
def test_a_rerank_re_scores_at_least_one(N: int) -> None:
    with pytest.raises(ValueError, match=f"N must be at least 1, not {N}"):
        Rerank("float32", N)
