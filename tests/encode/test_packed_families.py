"""Families that the packed path computes give the vectors of sentence-transformers; the rest go the plain way."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tiny_models import TEXTS, save

from cenote.encode import Encoder

PACKED = ["bert", "roberta", "distilbert", "mpnet"]


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("prefix", ["", "{kind}."])
def test_it_equals_sentence_transformers_whatever_its_weights_are_called_by(
    kind: str, prefix: str, tmp_path: Path
) -> None:
    peer = save(tmp_path, kind)
    weights = tmp_path / "saved" / "model.safetensors"
    named = {prefix.format(kind=kind) + name: tensor for name, tensor in load_file(weights).items()}
    save_file(named, weights)
    encoder = Encoder(str(tmp_path / "saved"), dtype="fp32", device="cpu")
    assert encoder.computed_by.startswith("packed rows")
    np.testing.assert_allclose(encoder.encode(TEXTS), peer.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize(("kind", "pooling"), [("modernbert", "cls"), ("qwen3", "lasttoken")])
def test_encoders_with_rotary_positions_equal_sentence_transformers(kind: str, pooling: str, tmp_path: Path) -> None:
    peer = save(tmp_path, kind, pooling=pooling)
    encoder = Encoder(str(tmp_path / "saved"), dtype="fp32", device="cpu")
    assert encoder.computed_by.startswith("packed rows")
    np.testing.assert_allclose(encoder.encode(TEXTS), peer.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("kind", ["roberta", "bert", "mpnet"])
def test_padding_that_is_written_into_a_text_stands_where_transformers_puts_it(kind: str, tmp_path: Path) -> None:
    peer = save(tmp_path, kind)
    padding = peer.tokenizer.pad_token
    texts = [f"pack my {padding} box {padding}{padding} with", f"{padding}", "pack my box", f"{padding} jugs"]
    encoder = Encoder(str(tmp_path / "saved"), dtype="fp32", device="cpu")
    np.testing.assert_allclose(encoder.encode(texts), peer.encode(texts), atol=1e-5)


@pytest.mark.parametrize("kind", ["bert gelu_new", "t5"])
def test_what_it_does_not_know_goes_the_plain_way_and_says_so(kind: str, tmp_path: Path) -> None:
    save(tmp_path, kind)
    encoder = Encoder(str(tmp_path / "saved"), device="cpu")
    assert encoder.computed_by == "transformers, in padded batches"
