"""Models of words, and modules between a model and its pooling, give the vectors of sentence-transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    CNN,
    LSTM,
    BoW,
    Dense,
    Pooling,
    Transformer,
    WeightedLayerPooling,
    WordEmbeddings,
    WordWeights,
)
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer
from tiny_models import TEXTS, save_transformer

from cenote.encode import Encoder

WORDS = sorted({word.strip(",!;").lower() for text in TEXTS for word in text.split()})
READ = [text for text in TEXTS if text]


def same(modules: list[Any], folder: Path) -> None:
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    peer = SentenceTransformer(str(folder), device="cpu")
    expected = np.stack([peer.encode(text) for text in READ])
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(Encoder(str(folder), device="cpu", dtype="fp32").encode(READ), expected, atol=1e-5)


def words() -> WordEmbeddings:
    torch.manual_seed(0)
    return WordEmbeddings(WhitespaceTokenizer(["PAD", *WORDS]), torch.randn(len(WORDS) + 1, 12))


@pytest.mark.parametrize("make", [list, lambda: [CNN(12, 5)], lambda: [LSTM(12, 6)]], ids=["alone", "cnn", "lstm"])
def test_word_embeddings_open(make: Any, tmp_path: Path) -> None:
    same([words(), *make(), Pooling(12 if not make() else make()[0].get_embedding_dimension())], tmp_path)


def test_weighted_words_are_averaged_by_their_weights(tmp_path: Path) -> None:
    weights = WordWeights(["PAD", *WORDS], {word: 0.1 * n for n, word in enumerate(WORDS, 1)})
    same([words(), weights, Pooling(12)], tmp_path)


@pytest.mark.parametrize("cumulative", [True, False])
def test_bags_of_words_open(cumulative: bool, tmp_path: Path) -> None:
    same([BoW(WORDS, {"fox": 2.0, "jugs": -3.0}, cumulative_term_frequency=cumulative)], tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: WeightedLayerPooling(32, num_hidden_layers=2, layer_start=1),
        lambda: Dense(32, 32, module_input_name="token_embeddings"),
    ],
    ids=["layers", "dense"],
)
def test_modules_on_tokens_are_computed_before_the_pooling(make: Any, tmp_path: Path) -> None:
    options = {"config_kwargs": {"output_hidden_states": True}}
    same([Transformer(str(save_transformer(tmp_path / "raw")), **options), make(), Pooling(32)], tmp_path / "saved")
