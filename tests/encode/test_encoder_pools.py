"""Encoding: rows follow the texts, poolings share one pass, and no batch changes an answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import TEXTS, save

from cenote.encode import Encoder
from cenote.pool import Max, Mean

WORDS = [*["cls", "last", "max", "mean", "sqrt", "sum", "weighted"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pools")
    save(path, prompts={"query": "quick box: "}, include_prompt=False)
    return path / "saved"


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu")


@pytest.fixture(scope="module")
def alone(encoder: Encoder) -> dict[str, np.ndarray]:
    return {text: encoder.encode(text) for text in TEXTS}


@given(st.lists(st.sampled_from(TEXTS), max_size=20), st.integers(1, 300))
@settings(deadline=None, max_examples=40)
def test_row_i_is_text_i_whatever_stands_beside_it(
    encoder: Encoder, alone: dict[str, np.ndarray], texts: list[str], batch_tokens: int
) -> None:
    whole = encoder.batch_tokens
    try:
        encoder.batch_tokens = batch_tokens
        found = encoder.encode(texts)
    finally:
        encoder.batch_tokens = whole
    assert found.shape == (len(texts), encoder.dim)
    for row, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(row, alone[text], atol=1e-6)


def test_rows_keep_their_order_over_many_windows(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encoder.encode(TEXTS * 3)
    monkeypatch.setattr("cenote.encode.windows._WINDOW", 5)
    np.testing.assert_allclose(encoder.encode(TEXTS * 3), expected, atol=1e-6)
    monkeypatch.setattr("cenote.encode.windows._CHARACTERS", 40)
    np.testing.assert_allclose(encoder.encode(TEXTS * 3), expected, atol=1e-6)


def test_one_string_gives_one_vector(encoder: Encoder, alone: dict[str, np.ndarray]) -> None:
    assert encoder.encode("a").shape == (encoder.dim,)
    first, second = encoder.encode("a", pool=["mean", "max"])
    assert first.shape == second.shape == (encoder.dim,)


def test_any_iterable_of_strings_is_taken(encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)
    for texts in (iter(TEXTS), tuple(TEXTS), np.array(TEXTS), (text for text in TEXTS)):
        np.testing.assert_array_equal(encoder.encode(texts), expected)


def test_no_text_gives_no_row(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert [x.shape for x in encoder.encode([], pool=["mean", "max"])] == [(0, encoder.dim)] * 2


def test_a_list_of_poolings_in_one_pass_equals_each_alone(encoder: Encoder) -> None:
    pools = [None, *WORDS, Mean()]
    together = encoder.encode(TEXTS, pool=pools)
    assert len(together) == len(pools)
    for found, pool in zip(together, pools, strict=True):
        np.testing.assert_allclose(found, encoder.encode(TEXTS, pool=pool), atol=1e-6)


def test_a_list_of_poolings_reads_the_texts_once(encoder: Encoder) -> None:
    encoder.report.reset()
    encoder.encode(TEXTS, pool=WORDS)
    assert encoder.report.texts == len(TEXTS)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("role", ["document", "query"])
def test_a_pooling_is_that_of_the_padded_states(word: str, role: str, encoder: Encoder) -> None:
    from cenote import registry

    pooler = registry.make(word, ("pool",))
    found = encoder.encode(TEXTS, role, pool=word, normalize_embeddings=False)  # type: ignore[arg-type]
    for states in encoder.states(TEXTS, role):  # type: ignore[arg-type]
        with torch.inference_mode():
            expected = pooler(*states.padded())
        np.testing.assert_allclose(found[states.rows], expected.numpy(), atol=1e-5, rtol=1e-5)


def test_a_pooler_is_taken_as_its_word_is(encoder: Encoder) -> None:
    np.testing.assert_array_equal(encoder.encode(TEXTS, pool=Max()), encoder.encode(TEXTS, pool="max"))


def test_poolings_of_a_cosine_model_have_unit_length_unless_refused(encoder: Encoder) -> None:
    for word in WORDS:
        np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS, pool=word), axis=1), 1, atol=1e-5)
        raw = encoder.encode(TEXTS, pool=word, normalize_embeddings=False)
        assert np.abs(np.linalg.norm(raw, axis=1) - 1).max() > 0.01


def test_an_empty_text_has_the_vector_of_its_specials(encoder: Encoder) -> None:
    (vector,) = encoder.encode([""])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    only = next(encoder.states([""]))
    assert bool(only.special.all())
    np.testing.assert_allclose(encoder.encode([" \n\t"])[0], vector, atol=1e-6)


def test_progress_counts_every_text_once(encoder: Encoder) -> None:
    done: list[int] = []
    encoder.encode(TEXTS * 3, progress=done.append)
    assert sum(done) == 3 * len(TEXTS)


def test_a_bar_goes_to_stderr_alone(encoder: Encoder, capsys: pytest.CaptureFixture[str]) -> None:
    encoder.encode(TEXTS, show_progress=True)
    assert capsys.readouterr().out == ""


def test_the_type_of_the_computation_changes_vectors_little(folder: Path, encoder: Encoder) -> None:
    half = Encoder(str(folder), dtype="bf16", device="cpu")
    assert half.fingerprint("document") != encoder.fingerprint("document")
    assert (half.encode(TEXTS) * encoder.encode(TEXTS)).sum(axis=1).min() > 0.99
