"""The packaged wordllama gives the vectors of its own package."""

from typing import Any

import numpy as np
import pytest

from cenote.encode import Encoder
from cenote.encode.packaged import PACKAGED

TEXTS = [
    "the quick brown fox",
    "a",
    "naïve café, 中文 and 😀",
    "  white space before, behind \n",
    "It has no window. " * 400,
    "the quick brown fox",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("wordllama", device="cpu")


@pytest.fixture(scope="module")
def peer() -> Any:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    packaged = PACKAGED["wordllama"]
    folder = packaged.find()
    assert packaged.tokenizer is not None
    (table,) = load_file(folder / packaged.weights).values()
    return WordLlamaInference(table, Tokenizer.from_file(str(folder / packaged.tokenizer)))


def test_vectors_are_those_of_the_package(encoder: Encoder, peer: Any) -> None:
    np.testing.assert_allclose(encoder.encode(TEXTS), peer.embed(TEXTS), atol=1e-5)


def test_vectors_of_unit_length_are_those_of_the_package(encoder: Encoder, peer: Any) -> None:
    found = encoder.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(found, peer.embed(TEXTS, norm=True), atol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS, pool="mean"), found, atol=1e-6)


def test_nothing_is_cut_without_a_window(encoder: Encoder) -> None:
    encoder.report.reset()
    encoder.encode(TEXTS)
    assert encoder.max_length is None
    assert encoder.report.cut_tokens == 0
    assert encoder.report.sentence(encoder.max_length) is None


def test_a_window_is_kept_where_one_is_asked_for(encoder: Encoder, peer: Any) -> None:
    short = Encoder("wordllama", device="cpu", max_length=5)
    ids = peer.tokenizer.encode("one two three four five six seven eight", add_special_tokens=False).ids
    expected = peer.embedding[ids[:5]].mean(axis=0)
    np.testing.assert_allclose(short.encode("one two three four five six seven eight"), expected, atol=1e-5)
    assert short.report.cut_tokens == len(ids) - 5


def test_a_text_without_a_token_is_zero_and_reported(encoder: Encoder) -> None:
    encoder.report.reset()
    vectors = encoder.encode(["", "a", "", ""])
    assert not vectors[[0, 2, 3]].any()
    assert vectors[1].any()
    assert encoder.report.empty_texts == 3
    assert encoder.report.sentence(None) == "3 texts have no token of their own; their vectors say nothing of them"


def test_texts_without_a_token_alone_are_zeros_too(encoder: Encoder) -> None:
    assert not encoder.encode(["", ""]).any()
    assert not encoder.encode("").any()


def test_computation_is_fp32_whatever_is_asked() -> None:
    assert Encoder("wordllama", dtype="bf16", device="cpu").dtype == "fp32"
