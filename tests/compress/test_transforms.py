"""Transforms: what each keeps, what each refuses, and that a fit can be repeated and restored."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from cenote import registry
from cenote.compress import PCA, Normalize, Rotate, Transform, Truncate

DIM = 12
GIVEN: dict[str, dict[str, Any]] = {"pca": {"dim": 5}, "truncate": {"dim": 5}, "rotate": {"seed": 3}}
every_transform = pytest.mark.parametrize("word", [row.word for row in registry.rows("transform") if row.built])


def drawn(rows: int, dim: int = DIM, seed: int = 0) -> NDArray[np.float32]:
    """Vectors whose dimensions differ in spread and whose mean is not zero."""
    x = np.random.default_rng(seed).normal(size=(rows, dim)) * np.linspace(3, 0.3, dim) + 0.5
    return x.astype(np.float32)


def made(word: str) -> Transform:
    transform: Transform = registry.make(word, ("transform",), **GIVEN.get(word, {}))
    transform.fit(drawn(80, seed=7))
    return transform


# -- every transform


@every_transform
def test_the_result_has_the_width_that_is_promised(word: str) -> None:
    transform = made(word)
    for rows in (0, 1, 9):
        out = transform.apply(drawn(rows))
        assert out.dtype == np.float32
        assert out.shape == (rows, transform.out_dim(DIM))


@every_transform
@settings(max_examples=20, deadline=None)
@given(row=st.integers(0, 19), seed=st.integers(0, 99))
def test_a_row_is_transformed_from_itself_alone(word: str, row: int, seed: int) -> None:
    transform, x = made(word), drawn(20, seed=seed)
    np.testing.assert_allclose(transform.apply(x[row : row + 1])[0], transform.apply(x)[row], rtol=1e-5, atol=1e-5)


@every_transform
def test_a_saved_transform_answers_to_the_bit(word: str) -> None:
    transform, x = made(word), drawn(9)
    expected = transform.apply(x)
    again: Transform = registry.build(registry.config(transform))
    again.restore({name: array.copy() for name, array in transform.state().items()})
    assert again.fitted
    assert np.array_equal(again.apply(x), expected)


@every_transform
def test_restoring_what_nothing_was_learnt_from_is_harmless(word: str) -> None:
    transform: Transform = registry.make(word, ("transform",), **GIVEN.get(word, {}))
    transform.restore(transform.state())
    assert transform.fitted is not transform.needs_fit


@every_transform
def test_it_keeps_the_vectors_as_they_are_and_shares_no_memory(word: str) -> None:
    x = drawn(6)
    before = x.copy()
    out = made(word).apply(x)
    assert np.array_equal(x, before)
    assert not np.shares_memory(out, x)


@every_transform
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_and_its_row_named(word: str, bad: float) -> None:
    x = drawn(5)
    x[3, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinity in row 3"):
        made(word).apply(x)


@every_transform
def test_whole_numbers_and_wrong_shapes_are_refused(word: str) -> None:
    with pytest.raises(TypeError, match="x must hold floats"):
        made(word).apply(np.ones((2, DIM), np.int64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x must have shape \(rows, dimensions\)"):
        made(word).apply(np.ones(DIM, np.float32))


@every_transform
def test_a_refused_input_leaves_it_usable(word: str) -> None:
    transform: Transform = registry.make(word, ("transform",), **GIVEN.get(word, {}))
    transform.fit(drawn(80))
    with pytest.raises(ValueError, match="shape"):
        transform.apply(np.ones(DIM + 1, np.float32))
    assert transform.apply(drawn(2)).shape == (2, transform.out_dim(DIM))


# -- pca


def test_pca_directions_are_orthonormal() -> None:
    pca = PCA(7)
    pca.fit(drawn(60))
    assert pca.components is not None
    np.testing.assert_allclose(pca.components.T @ pca.components, np.eye(7), atol=1e-6)


@pytest.mark.parametrize("dim", [1, 5, 12])
def test_pca_equals_scikit_learn_up_to_sign(dim: int) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    x, queries = drawn(200), drawn(30, seed=1)
    pca = PCA(dim)
    pca.fit(x)
    peer = decomposition.PCA(dim, svd_solver="full").fit(x.astype(np.float64))
    ours, theirs = pca.apply(queries), peer.transform(queries.astype(np.float64))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)


def test_pca_of_every_dimension_keeps_distances() -> None:
    x = drawn(40)
    pca = PCA(DIM)
    pca.fit(x)
    before, after = (np.linalg.norm(v[:, None] - v[None], axis=2) for v in (x, pca.apply(x)))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


def test_pca_of_its_sample_is_centred_uncorrelated_and_falls_in_variance() -> None:
    pca, x = PCA(6), drawn(300)
    pca.fit(x)
    out = pca.apply(x).astype(np.float64)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-5)
    covariance = np.cov(out.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert (np.diff(np.diag(covariance)) <= 1e-6).all()


def test_the_greatest_entry_of_a_pca_direction_is_positive() -> None:
    pca = PCA(8)
    pca.fit(drawn(60))
    assert pca.components is not None
    assert (pca.components[np.abs(pca.components).argmax(axis=0), np.arange(8)] > 0).all()


def test_pca_does_not_depend_on_the_order_of_its_sample() -> None:
    x = drawn(60)
    one, other = PCA(5), PCA(5)
    one.fit(x)
    other.fit(x[::-1])
    np.testing.assert_allclose(one.apply(x), other.apply(x), atol=1e-5)


def test_fitting_pca_again_learns_the_same_bits() -> None:
    one, other = made("pca").state(), made("pca").state()
    assert all(np.array_equal(one[name], other[name]) for name in ("mean", "components"))


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_pca_needs_as_many_rows_as_dimensions(rows: int) -> None:
    with pytest.raises(ValueError, match=f"pca 5 needs at least 5 passages to learn from, and there are {rows}"):
        PCA(5).fit(drawn(rows))


def test_pca_of_as_many_rows_as_dimensions_is_enough() -> None:
    pca = PCA(5)
    pca.fit(drawn(5))
    assert pca.components is not None
    np.testing.assert_allclose(pca.components.T @ pca.components, np.eye(5), atol=1e-6)


def test_pca_of_equal_rows_still_has_orthonormal_directions() -> None:
    pca = PCA(4)
    pca.fit(np.ones((9, DIM), np.float32))
    assert pca.components is not None
    np.testing.assert_allclose(pca.components.T @ pca.components, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(pca.apply(np.ones((1, DIM), np.float32)), 0, atol=1e-6)


def test_pca_is_not_applied_before_it_is_fitted() -> None:
    with pytest.raises(ValueError, match="pca is applied before it is fitted"):
        PCA(3).apply(drawn(2))


# -- widths


@pytest.mark.parametrize("kind", [PCA, Truncate])
@pytest.mark.parametrize("dim", [0, -3])
def test_a_width_is_at_least_one(kind: type[PCA] | type[Truncate], dim: int) -> None:
    with pytest.raises(ValueError, match=f"dim must be at least 1, not {dim}"):
        kind(dim)


@pytest.mark.parametrize("kind", [PCA, Truncate])
def test_more_dimensions_than_there_are_are_refused(kind: type[PCA] | type[Truncate]) -> None:
    transform = kind(DIM + 1)
    with pytest.raises(ValueError, match="13 asks for more dimensions than the 12 there are"):
        transform.out_dim(DIM)
    use = transform.fit if transform.needs_fit else transform.apply
    with pytest.raises(ValueError, match="13 asks for more dimensions than the 12 there are"):
        use(drawn(50))


@pytest.mark.parametrize("word", ["pca", "rotate"])
def test_vectors_of_another_width_than_the_first_are_refused(word: str) -> None:
    transform = made(word)
    transform.apply(drawn(2))
    with pytest.raises(ValueError, match="x has 11 dimensions where 12 are expected"):
        transform.apply(drawn(2, 11))


def test_truncate_keeps_the_first_dimensions() -> None:
    assert np.array_equal(Truncate(4).apply(drawn(6)), drawn(6)[:, :4])


# -- rotate


@pytest.mark.parametrize("dim", [1, 2, 33])
def test_a_rotation_keeps_products(dim: int) -> None:
    x = drawn(20, dim)
    out = Rotate(1).apply(x)
    np.testing.assert_allclose(out @ out.T, x @ x.T, rtol=1e-4, atol=1e-4)


def test_a_rotation_is_orthogonal() -> None:
    rotation = Rotate(1).apply(np.eye(DIM, dtype=np.float32))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(DIM), atol=1e-6)


def test_a_rotation_is_named_by_its_seed() -> None:
    x = drawn(3)
    assert np.array_equal(Rotate(5).apply(x), Rotate(5).apply(x))
    assert not np.allclose(Rotate(5).apply(x), Rotate(6).apply(x))


def test_rotations_are_even_over_seeds() -> None:
    # of a uniformly random rotation every entry has mean 0 and variance 1 / d; without the signs made unique it has not
    entries = np.stack([Rotate(seed).apply(np.eye(3, dtype=np.float32)) for seed in range(3000)])
    np.testing.assert_allclose(entries.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(entries.var(axis=0), 1 / 3, atol=0.04)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed must not be negative, not -1"):
        Rotate(-1)


# -- normalize


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.floats(-(2.0**60), 2.0**60, width=32)))
def test_normalised_vectors_have_unit_length_and_keep_their_direction(x: NDArray[np.float32]) -> None:
    norms = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(Normalize().apply(x), x / np.maximum(norms, 1e-12), rtol=1e-5, atol=1e-7)


def test_a_zero_vector_stays_zero() -> None:
    assert (Normalize().apply(np.zeros((2, 3), np.float32)) == 0).all()
