"""An encoder written as ONNX gives its vectors through onnxruntime, which knows nothing of this library."""

import importlib.util
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import BoW, Pooling, StaticEmbedding
from tiny_models import TEXTS, save, save_transformer, word_pieces
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
        self.folder, self.config = folder, json.loads((folder / "config.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._session = onnxruntime.InferenceSession(folder / "model.onnx")

    def encode(self, texts: list[str], role: str, padding: int = 0) -> Any:
        given = [self.config["prompts"][role] + text for text in texts]
        found = self._tokenizer.encode_batch(given, add_special_tokens=self.config["add_special_tokens"])
        inputs = {
            "input_ids": np.array([one.ids for one in found], np.int64),
            "attention_mask": np.array([one.attention_mask for one in found], np.int64),
        }
        inputs = {name: np.pad(x, ((0, 0), (0, padding))) for name, x in inputs.items()}
        return self._session.run(["sentence_embedding"], inputs)[0]


@dataclass
class Case:
    """An encoder with what is put behind its states, and what was written of it, by role."""

    encoder: Encoder
    pool: Pooler | None = None
    maps: Sequence[tuple[Any, Any]] = ()
    exported: dict[str, Exported] = field(default_factory=dict)

    def encode(self, texts: list[str], role: Any = "document") -> Any:
        """The vectors by this library, and by algebra behind them."""
        found = self.encoder.encode(texts, role, self.pool, normalize_embeddings=True if self.maps else None)
        for weight, bias in self.maps:
            found = found @ weight.T + bias
            found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found


def opened(folder: Path, **options: Any) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu", **options)


def first_layer(config: Path, **changes: Any) -> None:
    """Leave a model its first layer: a graph takes seconds a layer to write."""
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 1} | changes))


def poolings(folder: Path) -> Case:
    """Positions that are angles, a layer that sees near tokens only, and poolings of ours: also by order and parts."""
    save(folder, "modernbert", prompts={"query": "fox? ", "document": ""})
    first_layer(folder / "saved" / "config.json", layer_types=["sliding_attention"])
    torch.manual_seed(0)
    words = {
        "cls": {},
        "weighted": {},
        "lstm": {"dim": 32, "hidden": 5, "bidirectional": True},
        "pyramid": {"levels": 2},
    }
    pool = Concat([registry.make(word, ("pool",), **given) for word, given in words.items()])
    return Case(opened(folder / "saved"), pool)


def routes(folder: Path) -> Case:
    """A table for queries and a layer of another model for documents, a head for both, cut, and transforms."""
    first_layer(save_transformer(folder / "bert") / "config.json")
    document = [Transformer(str(folder / "bert")), Pooling(32, "mean")]
    router = Router.for_query_document([StaticEmbedding(word_pieces(), embedding_dim=32)], document)
    modules, prompts = [router, Dense(32, 16), Normalize()], {"query": "find: ", "document": "a box: "}
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save(str(folder / "saved"))
    draw = np.random.default_rng(0)
    sizes = ((9, 12), (5, 9))
    maps = [(draw.normal(size=(a, b)).astype(np.float32), draw.normal(size=a).astype(np.float32)) for a, b in sizes]
    return Case(opened(folder / "saved", max_length=7, truncate_dim=12), maps=maps)


@pytest.fixture(scope="module", params=[poolings, routes], ids=lambda make: make.__name__)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    made: Case = request.param(folder / "model")
    export_onnx(made.encoder, folder / "onnx", pool=made.pool, maps=made.maps)
    ways = {role: folder / "onnx" / role for role in ("query", "document")}
    whole = {} if ways["query"].is_dir() else dict.fromkeys(ways, Exported(folder / "onnx"))
    made.exported = whole or {role: Exported(way) for role, way in ways.items()}
    return made


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("table")
    SentenceTransformer(modules=[StaticEmbedding(word_pieces(), embedding_dim=24)], device="cpu").save(str(folder))
    return folder


def test_onnxruntime_gives_the_vectors_of_the_encoder_in_batches_of_any_size(case: Case) -> None:
    for texts in (TEXTS, WORDY[:2], WORDY[1:2], WORDY[-2:-1], TEXTS * 3):
        np.testing.assert_allclose(case.exported["document"].encode(texts, "document"), case.encode(texts), atol=1e-4)


def test_queries_have_their_own_prompt_or_graph(case: Case) -> None:
    found = case.exported["query"].encode(WORDY, "query")
    np.testing.assert_allclose(found, case.encode(WORDY, "query"), atol=1e-4)
    other = np.abs(found - case.exported["document"].encode(WORDY, "document")).max()
    assert bool(other > 0.01) == (case.encoder.prompt("query") != case.encoder.prompt("document"))


def test_padding_never_changes_a_vector(case: Case) -> None:
    for role, exported in case.exported.items():
        expected = exported.encode(WORDY, role)
        np.testing.assert_allclose(exported.encode(WORDY, role, padding=9), expected, atol=1e-5)
        alone = np.concatenate([exported.encode([text], role) for text in WORDY])
        np.testing.assert_allclose(expected, alone, atol=1e-5)


def test_the_config_says_what_the_graph_takes_gives_and_was_made_of(case: Case) -> None:
    for role, exported in case.exported.items():
        config, encoder = exported.config, case.encoder.of(role)  # type: ignore[arg-type]
        dim = len(case.maps[-1][1]) if case.maps else encoder.width(case.pool)
        assert set(config["inputs"]) == {"input_ids", "attention_mask"}
        assert config["dim"] == dim == config["outputs"]["sentence_embedding"]["axes"][1]
        assert (config["window"], config["weights_sha256"]) == (encoder.max_length, encoder.sha256)
        assert config["onnx_sha256"] == sha256((exported.folder / "model.onnx").read_bytes()).hexdigest()
        assert config["pooling"] == registry.config(case.pool or encoder.pooling)
        lengths = np.linalg.norm(case.encode(WORDY), axis=1)
        assert config["normalised"] == bool(np.allclose(lengths, 1, atol=1e-5))


def test_the_program_in_the_card_runs_as_it_stands(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = case.exported["document"]
    monkeypatch.chdir(exported.folder)
    program = (exported.folder / "README.md").read_text().split("```python")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(program, found)
    np.testing.assert_allclose(found["embed"](WORDY), case.encode(WORDY), atol=1e-4)


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
    pool: Pooler, reason: str, table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=reason):
        export_onnx(opened(table), tmp_path / "onnx", pool=pool)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


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
