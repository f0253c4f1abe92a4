"""Folders saved by sentence-transformers and transformers open and give the same vectors; others are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import MultiVectorEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling, StaticEmbedding
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder, SparseStaticEmbedding, SpladePooling
from tiny_models import KINDS, TEXTS, WINDOW, save, save_transformer, word_pieces

from cenote.encode import Encoder
from cenote.errors import UnknownWord


def opened(folder: Path, **options: Any) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu", **options)


def dense(width: int, **options: Any) -> Dense:
    torch.manual_seed(1)
    return Dense(32, width, **options)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def check(peer: SentenceTransformer, encoder: Encoder) -> None:
    expected = peer.encode(TEXTS)
    assert np.ptp(expected, axis=0).max() > 0.01
    assert encoder.dim == expected.shape[1]
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_sentence_transformers_gives_its_vectors(kind: str, tmp_path: Path) -> None:
    peer = save(tmp_path, kind, pooling="lasttoken" if kind == "qwen3" else "mean")
    encoder = opened(tmp_path / "saved")
    assert encoder.max_length == WINDOW
    check(peer, encoder)


@pytest.mark.parametrize("kind", ["bert", "roberta", "t5"])
def test_a_bare_transformer_is_read_as_sentence_transformers_reads_it(kind: str, tmp_path: Path) -> None:
    folder = save_transformer(tmp_path, kind)
    check(SentenceTransformer(str(folder), device="cpu"), opened(folder))


@pytest.mark.parametrize(
    "pooling",
    ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "max"), ("mean", "lasttoken")],
)
def test_every_pooling_of_sentence_transformers_is_known(pooling: Any, tmp_path: Path) -> None:
    check(save(tmp_path, pooling=pooling, heads=[]), opened(tmp_path / "saved"))


@pytest.mark.parametrize(
    "make",
    [
        list,
        lambda: [dense(16)],
        lambda: [dense(16), Normalize()],
        lambda: [Normalize(), dense(16)],
        lambda: [Normalize(), dense(32, bias=False, activation_function=torch.nn.Identity()), Normalize()],
        lambda: [dense(24, use_residual=True)],
        lambda: [Dropout(0.5), Normalize()],
        lambda: [LayerNorm(32), dense(16)],
    ],
    ids=["none", "dense", "dense, unit", "unit, dense", "unit, linear, unit", "residual", "dropout", "norm"],
)
def test_heads_are_applied_in_their_order(make: Any, tmp_path: Path) -> None:
    check(save(tmp_path, heads=make()), opened(tmp_path / "saved"))


def test_a_static_table_of_sentence_transformers_opens(tmp_path: Path) -> None:
    torch.manual_seed(0)
    static = StaticEmbedding(word_pieces(), embedding_dim=24)
    SentenceTransformer(modules=[static, Normalize()], device="cpu").save(str(tmp_path))
    peer = SentenceTransformer(str(tmp_path), device="cpu")
    texts = [text for text in TEXTS if text]
    np.testing.assert_allclose(opened(tmp_path).encode(texts), peer.encode(texts), atol=1e-5)


@pytest.mark.parametrize("include_prompt", [True, False])
def test_prompts_of_a_folder_are_used_by_role(include_prompt: bool, tmp_path: Path) -> None:
    prompts = {"query": "the quick query: ", "document": "box "}
    peer = save(tmp_path, prompts=prompts, include_prompt=include_prompt)
    encoder, texts = opened(tmp_path / "saved"), [text for text in TEXTS if text]
    np.testing.assert_allclose(encoder.encode_query(texts), peer.encode_query(texts), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_document(texts), peer.encode_document(texts), atol=1e-5)
    assert np.abs(encoder.encode_query(texts) - encoder.encode_document(texts)).max() > 0.01


def test_one_prompt_name_is_used_for_both_roles(tmp_path: Path) -> None:
    peer = save(tmp_path, prompts={"clustering": "group these: "})
    encoder = opened(tmp_path / "saved", prompt_name="clustering")
    expected = peer.encode(TEXTS, prompt_name="clustering")
    np.testing.assert_allclose(encoder.encode_query(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_document(TEXTS), expected, atol=1e-5)


def test_a_model_that_compares_by_dot_keeps_the_length_of_its_vectors(tmp_path: Path) -> None:
    save(tmp_path, heads=[], similarity_fn_name="dot")
    encoder = opened(tmp_path / "saved")
    assert encoder.similarity == "dot"
    np.testing.assert_array_equal(encoder.encode(TEXTS, pool="mean"), encoder.encode(TEXTS))
    assert np.abs(np.linalg.norm(encoder.encode(TEXTS), axis=1) - 1).max() > 0.01


def test_the_first_dimensions_alone_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    peer = save(tmp_path)
    encoder = opened(tmp_path / "saved", truncate_dim=8)
    expected = peer.encode(TEXTS, truncate_dim=8, normalize_embeddings=True)
    assert encoder.dim == 8
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
    raw = peer.encode(TEXTS, truncate_dim=8)
    assert encoder.encode(TEXTS, pool="mean").shape == raw.shape


def test_unit_length_is_given_and_taken_on_request(tmp_path: Path) -> None:
    peer = save(tmp_path, heads=[])
    encoder = opened(tmp_path / "saved")
    for asked in (True, False):
        expected = peer.encode(TEXTS, normalize_embeddings=asked)
        np.testing.assert_allclose(encoder.encode(TEXTS, normalize_embeddings=asked), expected, atol=1e-5)


def sparse(folder: Path) -> Any:
    text = transformers.BertForMaskedLM(
        transformers.BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4)
    )
    text.save_pretrained(folder)
    word_pieces().save_pretrained(folder)
    first = Transformer(str(folder), transformer_task="fill-mask")
    return SparseEncoder(modules=[first, SpladePooling()], device="cpu")


def sparse_queries(folder: Path) -> Any:
    looked_up = SparseStaticEmbedding(word_pieces())
    return SparseEncoder(modules=[Router.for_query_document([looked_up], list(sparse(folder)))], device="cpu")


def sparse_codes(folder: Path) -> Any:
    first, code = Transformer(str(save_transformer(folder))), SparseAutoEncoder(32, 64)
    return SparseEncoder(modules=[first, Pooling(32), code], device="cpu")


def by_tokens(folder: Path) -> Any:
    first, narrow = Transformer(str(save_transformer(folder))), dense(16, module_input_name="token_embeddings")
    return MultiVectorEncoder(modules=[first, narrow, MultiVectorMask()], device="cpu")


@pytest.mark.parametrize("told", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (sparse, "a SparseEncoder, which gives weights for the words of a vocabulary; .* is `bm25`"),
        (sparse_queries, "a SparseEncoder, which gives weights for the words of a vocabulary; .* is `bm25`"),
        (sparse_codes, "a SparseEncoder, which gives weights for the words of a vocabulary; .* is `bm25`"),
        (by_tokens, "a MultiVectorEncoder, which gives a vector for every token; no recipe compares by tokens"),
    ],
)
def test_what_gives_no_single_vector_a_text_is_refused_with_what_it_is(
    make: Any, reason: str, told: bool, tmp_path: Path
) -> None:
    make(tmp_path / "raw").save(str(tmp_path / "saved"))
    if not told:
        edit(tmp_path / "saved" / "config_sentence_transformers.json", model_type=None)
    with pytest.raises(ValueError, match=reason):
        opened(tmp_path / "saved")


def test_states_without_a_pooling_are_never_pooled_by_a_guess(tmp_path: Path) -> None:
    save(tmp_path)
    path = tmp_path / "saved" / "modules.json"
    path.write_text(json.dumps([one for one in json.loads(path.read_text()) if "Pooling" not in one["type"]]))
    with pytest.raises(ValueError, match="no Pooling behind its Transformer: it gives a vector for every token"):
        opened(tmp_path / "saved")


def test_an_unknown_module_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path)
    path = tmp_path / "saved" / "modules.json"
    path.write_text(path.read_text().replace("normalize.Normalize", "whiten.Whiten"))
    with pytest.raises(ValueError, match=r"module Whiten where one of .* is expected"):
        opened(tmp_path / "saved")


def test_code_that_comes_with_a_folder_is_never_run(tmp_path: Path) -> None:
    save(tmp_path)
    modules = json.loads((tmp_path / "saved" / "modules.json").read_text())
    modules[1]["type"] = "harm.Pools"
    (tmp_path / "saved" / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "saved" / "harm.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="module Pools"):
        opened(tmp_path / "saved")
    assert not (tmp_path / "ran").exists()


def test_heads_on_tokens_are_refused(tmp_path: Path) -> None:
    save(tmp_path, heads=[dense(16, module_input_name="token_embeddings")])
    with pytest.raises(ValueError, match="other than sentence_embedding"):
        opened(tmp_path / "saved")


def test_heads_before_the_pooling_are_refused(tmp_path: Path) -> None:
    save(tmp_path)
    path = tmp_path / "saved" / "modules.json"
    transformer, pooling, unit = json.loads(path.read_text())
    path.write_text(json.dumps([transformer, unit, pooling]))
    with pytest.raises(ValueError, match="Normalize before its pooling"):
        opened(tmp_path / "saved")


def test_another_similarity_is_refused(tmp_path: Path) -> None:
    save(tmp_path, similarity_fn_name="euclidean")
    with pytest.raises(ValueError, match="compares by euclidean; cosine and dot are known"):
        opened(tmp_path / "saved")


def test_an_unknown_pooling_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path)
    edit(tmp_path / "saved" / "1_Pooling" / "config.json", pooling_mode="median")
    with pytest.raises(ValueError, match="pools by median; known are"):
        opened(tmp_path / "saved")


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_weights_in_another_format_are_not_read(kind: str, tmp_path: Path) -> None:
    folder = save_transformer(tmp_path, kind)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        opened(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no model folder: it has no config\.json"):
        opened(tmp_path)


def test_an_encoder_is_made_again_from_its_reference(tmp_path: Path) -> None:
    save(tmp_path)
    prompts = {"query": "quick: "}
    encoder = opened(tmp_path / "saved", prompts=prompts, max_length=20, truncate_dim=16, overflow="report")
    reference = json.loads(json.dumps(encoder.reference()))
    again = Encoder(**reference, device="cpu")
    np.testing.assert_array_equal(again.encode_query(TEXTS), encoder.encode_query(TEXTS))
    assert again.fingerprint("query") == encoder.fingerprint("query")


def test_other_weights_have_another_digest(tmp_path: Path) -> None:
    save_transformer(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert opened(tmp_path / "a").sha256 == opened(tmp_path / "b").sha256
    with (tmp_path / "b" / "model.safetensors").open("r+b") as file:
        file.seek(-3, 2)
        byte = file.read(1)
        file.seek(-3, 2)
        file.write(bytes([byte[0] ^ 1]))
    assert opened(tmp_path / "a").sha256 != opened(tmp_path / "b").sha256


def test_what_is_no_word_no_folder_and_not_fetched_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, options in (("no-such-owner/no-such-model", {}), ("no-such-owner/it", {"local_files_only": True})):
        with pytest.raises(UnknownWord, match="no word, no folder and no model that can be fetched"):
            Encoder(name, **options)


def test_a_misspelt_word_is_told_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnknownWord, match="did you mean `minilm`"):
        Encoder("minilmm")
