"""Chains: built from recipes, fitted, saved and opened again."""

import json
from pathlib import Path

import numpy as np
import pytest

from cenote.data.base import Document
from cenote.encode.cache import Encodings
from cenote.errors import RecipeError
from cenote.recipe import Chain

TEXTS = [
    f"document {i} is about {topic} and the number {i * i}" for i in range(20) for topic in ("rain", "bread", "glass")
]


@pytest.fixture
def cache(tmp_path: Path) -> Encodings:
    return Encodings(tmp_path / "cache")


def chain(recipe: str, cache: Encodings) -> Chain:
    return Chain(recipe, cache=cache)


def test_vectors_of_a_cosine_model_have_unit_length_after_every_transform(cache: Encodings) -> None:
    for recipe in ("wordllama | mean", "wordllama | truncate 64", "wordllama | truncate 64 | rotate"):
        norms = np.linalg.norm(chain(recipe, cache).vectors(TEXTS, "document"), axis=1)
        np.testing.assert_allclose(norms, 1, atol=1e-5)


def test_a_chain_finds_the_text_itself(cache: Encodings) -> None:
    words = ["rain", "bread", "glass", "copper", "violin", "harbour", "pepper", "lantern", "glacier", "saddle"]
    texts = [f"{a} and {b}" for i, a in enumerate(words) for b in words[i + 1 :]]
    for codec in ("float32", "bf16", "float8", "int8"):
        built = chain(f"wordllama | mean | {codec} | flat", cache)
        index = built.build(built.vectors(texts, "document"))
        assert (index.search(built.vectors(texts, "query"), k=1).ids[:, 0] == np.arange(len(texts))).all()


def test_a_rerank_gives_the_order_of_its_own_codec(cache: Encodings) -> None:
    coarse = chain("wordllama | mean | binary | flat | rerank float32 60", cache)
    exact = chain("wordllama | mean | float32 | flat", cache)
    queries = exact.vectors(["bread and rain", "glass number 49"], "query")
    a = coarse.build(coarse.vectors(TEXTS, "document")).search(queries, k=10)
    b = exact.build(exact.vectors(TEXTS, "document")).search(queries, k=10)
    assert (a.ids == b.ids).all()


def test_a_saved_chain_gives_the_same_vectors(cache: Encodings, tmp_path: Path) -> None:
    built = chain("wordllama | mean | pca 16 | int8 dim | flat | rerank bf16 30", cache)
    built.fit(TEXTS, seed=3)
    built.save(tmp_path / "stages")
    again = Chain.load(str(built.recipe), tmp_path / "stages", cache=cache)
    assert again.fitted
    np.testing.assert_array_equal(again.vectors(TEXTS, "query"), built.vectors(TEXTS, "query"))
    vectors = built.vectors(TEXTS, "document")
    for key, codes in built.leg.codec.encode(vectors).items():
        np.testing.assert_array_equal(again.leg.codec.encode(vectors)[key], codes)


def test_a_chain_opens_its_own_index(cache: Encodings, tmp_path: Path) -> None:
    built = chain("wordllama | int8 | flat | rerank", cache)
    vectors = built.vectors(TEXTS, "document")
    built.build(vectors[:25]).save(tmp_path / "a")
    built.build(vectors[25:]).save(tmp_path / "b")
    queries = built.vectors(["glass"], "query")
    whole = built.build(vectors).search(queries, k=7)
    parts = built.open([tmp_path / "a", tmp_path / "b"]).search(queries, k=7)
    np.testing.assert_array_equal(whole.ids, parts.ids)
    np.testing.assert_array_equal(whole.scores, parts.scores)


def test_fewer_passages_than_dimensions_is_a_recipe_error(cache: Encodings) -> None:
    with pytest.raises(RecipeError, match="pca 200"):
        chain("wordllama | pca 200", cache).fit(TEXTS[:10])


def test_nothing_is_used_before_it_is_fitted(cache: Encodings) -> None:
    with pytest.raises(RecipeError, match="learns from documents"):
        chain("wordllama | pca 8", cache).vectors(TEXTS, "query")


def test_other_weights_than_at_saving_are_refused(cache: Encodings, tmp_path: Path) -> None:
    built = chain("wordllama | mean", cache)
    built.save(tmp_path)
    config = json.loads((tmp_path / "0" / "config.json").read_text())
    (tmp_path / "0" / "config.json").write_text(json.dumps(config | {"sha256": "0" * 64}))
    with pytest.raises(RecipeError, match="not those this was made with"):
        Chain.load("wordllama | mean", tmp_path, cache=cache).vectors(["a"], "query")


def test_a_folder_of_another_recipe_is_refused(cache: Encodings, tmp_path: Path) -> None:
    chain("wordllama | mean", cache).save(tmp_path)
    with pytest.raises(RecipeError, match="where `max` is expected"):
        Chain.load("wordllama | max", tmp_path, cache=cache)


def test_opening_needs_no_encoder(cache: Encodings, tmp_path: Path) -> None:
    chain("wordllama | mean | int8", cache).save(tmp_path)
    again = Chain.load("wordllama | mean | int8", tmp_path, cache=cache)
    assert "encoder" not in vars(again)


def test_passages_hold_no_more_tokens_than_asked(cache: Encodings) -> None:
    built = chain("passages 32 | wordllama", cache)
    document = Document("a", " ".join(f"Sentence number {i} says little." for i in range(200)))
    spans = built.passages(document)
    assert len(spans) > 10
    tokens = built.encoder.token_spans([document.text[s.start : s.end] for s in spans])
    assert max(map(len, tokens)) + built.encoder.overhead("document") <= 32


def test_without_a_chunker_a_document_is_one_passage(cache: Encodings) -> None:
    built = chain("wordllama", cache)
    (span,) = built.passages(Document("a", "one two"))
    assert (span.start, span.end) == (0, 7)


def test_passages_beyond_the_window_are_a_recipe_error(cache: Encodings) -> None:
    with pytest.raises(RecipeError, match="256"):
        chain("passages 300 | minilm", cache).passages(Document("a", "x"))


@pytest.mark.parametrize("recipe", ["minilm | tokens", "(bm25) + (minilm | tokens) | rrf"])
def test_what_is_not_built_yet_says_so(recipe: str, cache: Encodings) -> None:
    with pytest.raises(RecipeError, match="not built in this version"):
        chain(recipe, cache)


def test_the_cost_of_encoding_is_told_as_first_measured(cache: Encodings) -> None:
    first, second = chain("wordllama", cache), chain("wordllama | int8", cache)
    first.vectors(TEXTS, "document")
    second.vectors(TEXTS, "document")
    assert first.encode_seconds > 0
    assert second.encode_seconds == pytest.approx(first.encode_seconds, rel=1e-6)
