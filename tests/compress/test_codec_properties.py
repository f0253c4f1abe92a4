"""What every codec promises, asked of each row of kind codec: adding the row is what tests a new codec."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote import registry
from cenote.compress import Codec

DIM = 13
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "float8": [
        {"format": format, "scale": scale} for format in ("e4m3", "e5m2") for scale in ("unit", "fitted", "none")
    ],
    "int8": [{"per": "row"}, {"per": "dim"}],
}
EVERY = [
    pytest.param(row.word, given, id="-".join([row.word, *map(str, given.values())]))
    for row in registry.rows("codec")
    if row.built
    for given in VARIANTS.get(row.word, [{}])
]
every_codec = pytest.mark.parametrize(("word", "given_"), EVERY)


def drawn(rows: int, dim: int = DIM, seed: int = 0) -> NDArray[np.float32]:
    """Random vectors of unit length."""
    x = np.random.default_rng(seed).normal(size=(rows, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def made(word: str, given_: dict[str, Any], dim: int = DIM) -> Codec:
    """The codec of a word, fitted on vectors of its own where it learns."""
    codec: Codec = registry.make(word, ("codec",), **given_)
    codec.fit(drawn(50, dim, seed=7))
    return codec


@every_codec
@settings(max_examples=25, deadline=None)
@given(rows=st.integers(0, 6), dim=st.integers(1, 40))
def test_the_closed_form_counts_the_bytes_of_the_arrays(word: str, given_: dict[str, Any], rows: int, dim: int) -> None:
    codec = made(word, given_, dim)
    codes = codec.encode(drawn(rows, dim))
    assert codec.nbytes(rows, dim) == sum(array.nbytes for array in codes.values())
    assert all(len(array) == rows for array in codes.values())
    assert "codes" in codes


@every_codec
def test_decoding_gives_float32_of_the_shape_that_was_encoded(word: str, given_: dict[str, Any]) -> None:
    codec = made(word, given_)
    for rows in (0, 1, 5):
        decoded = codec.decode(codec.encode(drawn(rows)), DIM)
        assert decoded.dtype == np.float32
        assert decoded.shape == (rows, DIM)


@every_codec
def test_encoding_what_was_decoded_changes_nothing(word: str, given_: dict[str, Any]) -> None:
    codec = made(word, given_)
    once = codec.decode(codec.encode(drawn(40)), DIM)
    np.testing.assert_allclose(codec.decode(codec.encode(once), DIM), once, rtol=1e-6)


@every_codec
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_and_its_row_named(word: str, given_: dict[str, Any], bad: float) -> None:
    x = drawn(5)
    x[3, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinity in row 3"):
        made(word, given_).encode(x)


@every_codec
def test_whole_numbers_and_wrong_shapes_are_refused(word: str, given_: dict[str, Any]) -> None:
    codec = made(word, given_)
    with pytest.raises(TypeError, match="x must hold floats"):
        codec.encode(np.ones((2, DIM), np.int64))
    with pytest.raises(ValueError, match=r"x must have shape \(rows, dimensions\)"):
        codec.encode(np.ones(DIM, np.float32))


@every_codec
@settings(max_examples=20, deadline=None)
@given(row=st.integers(0, 19), seed=st.integers(0, 99))
def test_a_row_is_encoded_from_itself_alone(word: str, given_: dict[str, Any], row: int, seed: int) -> None:
    codec, x = made(word, given_), drawn(20, seed=seed)
    together, alone = codec.encode(x), codec.encode(x[row : row + 1])
    for name in together:
        assert np.array_equal(together[name][row : row + 1], alone[name])


@every_codec
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_encoded_as_their_float32(
    word: str, given_: dict[str, Any], dtype: type[np.floating[Any]]
) -> None:
    codec, x = made(word, given_), drawn(6).astype(dtype)
    for name, array in codec.encode(x.astype(np.float32)).items():
        assert np.array_equal(codec.encode(x)[name], array)


@every_codec
def test_rows_need_not_lie_together(word: str, given_: dict[str, Any]) -> None:
    codec, x = made(word, given_), drawn(12, 2 * DIM) / 2
    strided = x[::2, ::2]
    for name, array in codec.encode(np.ascontiguousarray(strided)).items():
        assert np.array_equal(codec.encode(strided)[name], array)
        assert np.array_equal(codec.encode(np.asfortranarray(strided))[name], array)


@every_codec
def test_encoding_keeps_the_vectors_as_they_are_and_shares_no_memory(word: str, given_: dict[str, Any]) -> None:
    codec, x = made(word, given_), drawn(6)
    before = x.copy()
    codes = codec.encode(x)
    assert np.array_equal(x, before)
    assert not any(np.shares_memory(array, x) for array in codes.values())


@every_codec
def test_a_fitted_codec_is_restored_to_the_bit(word: str, given_: dict[str, Any]) -> None:
    codec, x = made(word, given_), drawn(20)
    again: Codec = registry.build(registry.config(codec))
    assert again.fitted is not codec.needs_fit
    again.restore({name: array.copy() for name, array in codec.state().items()})
    assert again.fitted
    for name, array in codec.encode(x).items():
        assert np.array_equal(again.encode(x)[name], array)
    assert np.array_equal(again.decode(codec.encode(x), DIM), codec.decode(codec.encode(x), DIM))


@every_codec
def test_restoring_what_nothing_was_learnt_from_is_harmless(word: str, given_: dict[str, Any]) -> None:
    codec: Codec = registry.make(word, ("codec",), **given_)
    codec.restore(codec.state())
    assert codec.fitted is not codec.needs_fit


@every_codec
def test_a_codec_that_learns_is_not_used_before(word: str, given_: dict[str, Any]) -> None:
    codec: Codec = registry.make(word, ("codec",), **given_)
    if codec.needs_fit:
        with pytest.raises(ValueError, match="before it is fitted"):
            codec.encode(drawn(2))


@every_codec
def test_fitting_twice_on_the_same_vectors_learns_the_same(word: str, given_: dict[str, Any]) -> None:
    one, other = made(word, given_).state(), made(word, given_).state()
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


@every_codec
def test_vectors_of_zeros_have_codes(word: str, given_: dict[str, Any]) -> None:
    codec = made(word, given_)
    decoded = codec.decode(codec.encode(np.zeros((3, DIM), np.float32)), DIM)
    assert (decoded == decoded[0, 0]).all()
    assert decoded[0, 0] == (-1 if word == "binary" else 0)


@every_codec
def test_a_fit_on_zeros_does_not_break_it(word: str, given_: dict[str, Any]) -> None:
    codec: Codec = registry.make(word, ("codec",), **given_)
    codec.fit(np.zeros((4, DIM), np.float32))
    assert np.isfinite(codec.decode(codec.encode(drawn(3)), DIM)).all()


@every_codec
def test_a_score_is_the_product_of_the_query_and_what_the_codes_stand_for(word: str, given_: dict[str, Any]) -> None:
    codec, x, queries = made(word, given_), drawn(30), drawn(4, seed=1)
    codes = codec.encode(x)
    scores = codec.scorer(queries, DIM)(codes)
    assert scores.dtype == np.float32
    assert scores.shape == (4, 30)
    # integer codes put the query into codes too: half a step of a 127th an entry of each vector, and signs for bits
    read = np.where(queries > 0, 1.0, -1.0) if word == "binary" else queries.astype(np.float64)
    expected = read @ codec.decode(codes, DIM).astype(np.float64).T
    step = np.abs(queries).max(axis=1, keepdims=True) / 254 * np.abs(codec.decode(codes, DIM)).sum(axis=1)
    if word == "int8" and given_["per"] == "dim":
        weighted = np.abs(queries * codec.state()["scales"]).max(axis=1, keepdims=True) / 254
        step = weighted * np.abs(codes["codes"].astype(np.float64)).sum(axis=1)
    assert (np.abs(scores - expected) <= (step * 1.001 if word == "int8" else 0) + 1e-5).all()
