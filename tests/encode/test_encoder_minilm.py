"""The packaged minilm gives the vectors of sentence-transformers, on real documents."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cenote.arrays import Float32
from cenote.encode import Encoder
from cenote.encode.packaged import PACKAGED

CRANFIELD = Path(os.environ.get("CENOTE_DATA", "")) / "cranfield" / "corpus.jsonl.gz"
pytestmark = pytest.mark.skipif(not CRANFIELD.is_file(), reason="cranfield is not under CENOTE_DATA")


@pytest.fixture(scope="module")
def documents() -> list[str]:
    """Every tenth document of cranfield, and the two that are empty."""
    with gzip.open(CRANFIELD, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [f"{row['title']} {row['text']}" for row in rows]
    empty = [text for text in texts if not text.strip()]
    assert len(empty) == 2
    return texts[::10] + empty


@pytest.fixture(scope="module")
def peer() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(PACKAGED["minilm"].find()), device="cpu")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("minilm", dtype="fp32", device="cpu")


@pytest.fixture(scope="module")
def vectors(encoder: Encoder, documents: list[str]) -> Float32:
    found: Float32 = encoder.encode(documents)
    return found


def test_fp32_equals_sentence_transformers_on_every_document(peer: Any, documents: list[str], vectors: Float32) -> None:
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, peer.encode(documents), atol=1e-5)


def test_bf16_stays_near_fp32(documents: list[str], vectors: Float32) -> None:
    near = Encoder("minilm", dtype="bf16", device="cpu").encode(documents[::4])
    assert near.dtype == np.float32
    assert (near * vectors[::4]).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("batch_tokens", [1, 700])
def test_the_batch_never_changes_the_answer(batch_tokens: int, documents: list[str], vectors: Float32) -> None:
    small = Encoder("minilm", dtype="fp32", device="cpu", batch_tokens=batch_tokens)
    np.testing.assert_allclose(small.encode(documents[::8]), vectors[::8], atol=1e-6)


def test_row_i_is_text_i_in_any_order(encoder: Encoder, documents: list[str], vectors: Float32) -> None:
    order = np.random.default_rng(0).permutation(len(documents))[:24]
    np.testing.assert_allclose(encoder.encode([documents[i] for i in order]), vectors[order], atol=1e-6)


def test_prompts_by_role_are_those_of_sentence_transformers(peer: Any, documents: list[str]) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    prompted = Encoder("minilm", dtype="fp32", device="cpu", prompts=prompts)
    texts = documents[:6]
    np.testing.assert_allclose(prompted.encode_query(texts), peer.encode(texts, prompt="query: "), atol=1e-5)
    np.testing.assert_allclose(prompted.encode_document(texts), peer.encode(texts, prompt="passage: "), atol=1e-5)


def test_a_shorter_window_is_that_of_sentence_transformers(peer: Any, documents: list[str]) -> None:
    texts = documents[:8]
    whole = peer.max_seq_length
    try:
        peer.max_seq_length = 32
        expected = peer.encode(texts)
    finally:
        peer.max_seq_length = whole
    short = Encoder("minilm", dtype="fp32", device="cpu", max_length=32)
    np.testing.assert_allclose(short.encode(texts), expected, atol=1e-5)


def test_what_lies_beyond_the_window_is_counted(peer: Any, documents: list[str]) -> None:
    texts = documents[:40]
    short = Encoder("minilm", dtype="fp32", device="cpu", max_length=16)
    short.encode(texts)
    lengths = [len(ids) for ids in peer.tokenizer(texts, truncation=False)["input_ids"]]
    assert short.report.texts == 40
    assert short.report.cut_texts == sum(n > 16 for n in lengths)
    assert short.report.cut_tokens == sum(max(0, n - 16) for n in lengths)
    assert short.report.tokens + short.report.cut_tokens == sum(lengths)


def test_the_packaged_weights_are_the_published_ones(encoder: Encoder) -> None:
    assert encoder.sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (encoder.dim, encoder.max_length, encoder.similarity) == (384, 256, "cosine")
