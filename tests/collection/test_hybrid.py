"""Words, and words beside vectors: collections of hybrid recipes keep every promise that dense ones do."""

from pathlib import Path

import numpy as np
import pytest
from shelf import rows

import cenote
from cenote.collection import open_collection
from cenote.data.base import Document
from cenote.errors import RecipeError
from cenote.recipe import Chain

WORDS = "bm25"
RRF = "(bm25) + (wordllama | int8 | flat) | rrf"
CONVEX = "passages 12 | (bm25 k1=1.2) + (wordllama | truncate 64 | binary | flat | rerank int8 20) | convex 0.4"
every = pytest.mark.parametrize("recipe", [WORDS, RRF, CONVEX])
ASKED = ["number 17", "copper and bread", "a violin in the harbour", "lantern"]


@every
def test_a_document_is_found_by_its_own_text(recipe: str, tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 60), recipe)
    for row in rows(0, 60)[::7]:
        assert docs.search(row["text"], k=1)[0][0].id == row["id"]


# not of rrf: equal scores have ranks in the order of rows, which a history may change
@pytest.mark.parametrize("recipe", [WORDS, CONVEX])
def test_history_changes_no_answer(recipe: str, tmp_path: Path) -> None:
    straight = cenote.create(tmp_path / "straight", rows(30, 90), recipe)
    docs = cenote.create(tmp_path / "docs", rows(0, 40), recipe)
    docs.add(rows(40, 70))
    docs.delete([f"d{n}" for n in range(30)])
    docs.add(rows(70, 90))
    for step in ("as it is", "merged", "opened again"):
        if step == "merged":
            docs.compact()
        with open_collection(tmp_path / "docs") as again:
            for mine, theirs in zip(again.rank(ASKED, 5), straight.rank(ASKED, 5), strict=True):
                np.testing.assert_allclose([s for _, s in mine], [s for _, s in theirs], rtol=1e-5, err_msg=step)


def test_words_that_no_document_has_find_nothing(tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 30), WORDS)
    assert docs.search(["xylophone zebra", "?!"], k=5) == [[], []]
    assert len(docs.search("bread", k=50)[0]) == sum("bread" in row["text"] for row in rows(0, 30))


@every
def test_a_filter_finds_what_matches(recipe: str, tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 60), recipe)
    found = docs.search("number", k=10, where="n >= 50")[0]
    assert sorted(hit.attributes["n"] for hit in found) == list(range(50, 60))


@pytest.mark.parametrize("recipe", [RRF, CONVEX])
def test_a_hit_has_the_score_of_each_leg(recipe: str, tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 60), recipe)
    for hit in docs.search("copper and bread", k=10)[0]:
        assert hit.scores.keys() == {"bm25", "wordllama"}
        text = hit.text.lower()
        assert (hit.scores["bm25"] > 0) == any(word in text.split() for word in ("copper", "and", "bread"))
    lone = cenote.create(tmp_path / "lone", rows(0, 9), "wordllama | flat")
    assert lone.search("bread", k=1)[0][0].scores == {}


@every
def test_reindexing_to_and_from_words(recipe: str, tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 30), "wordllama | int8 | flat")
    docs.reindex(recipe)
    assert docs.search("number 17", k=1)[0][0].id == "d17"
    assert docs.recipe == str(Chain(recipe).recipe)
    docs.reindex("wordllama | int8 | flat")
    assert docs.search(rows(17, 18)[0]["text"], k=1)[0][0].id == "d17"


def test_bytes_and_encoders_of_all_legs_are_told(tmp_path: Path) -> None:
    info = cenote.create(tmp_path / "docs", rows(0, 60), RRF).info()
    assert [one["reference"]["model"] for one in info.encoders] == ["bm25", "wordllama"]
    words = cenote.create(tmp_path / "words", rows(0, 60), WORDS).info()
    dense = cenote.create(tmp_path / "dense", rows(0, 60), "wordllama | int8 | flat").info()
    assert info.bytes["payload"] == words.bytes["payload"] + dense.bytes["payload"]
    assert info.bytes["structure"] == words.bytes["structure"] + dense.bytes["structure"]


def test_passages_before_words_count_words() -> None:
    text = "one two three. four five. six seven eight nine. ten"
    spans = Chain("passages 5 | bm25").passages(Document("a", text))
    assert [text[s.start : s.end] for s in spans] == ["one two three. four five.", "six seven eight nine. ten"]


def test_legs_share_the_passages_of_the_model(tmp_path: Path) -> None:
    document = Document("a", " ".join(row["text"] + "." for row in rows(0, 20)))
    hybrid, alone = Chain(f"passages 20 | {RRF}"), Chain("passages 20 | wordllama")
    assert hybrid.passages(document) == alone.passages(document)


def test_legs_of_one_encoder_have_names_of_their_own() -> None:
    assert list(Chain("(wordllama | int8) + (wordllama | binary) + (bm25) | rrf").legs) == [
        "wordllama", "wordllama 2", "bm25"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("bm25 k1=-1", "k1"),
        ("bm25 b=2", "b must"),
        ("bm25 stem=klingon", "stem"),
        ("(bm25) + (wordllama) | convex 2", "a must"),
        ("(bm25) + (wordllama) | rrf k=-3", "k must"),
        ("bm25 | rerank float32 20", "rerank"),
    ],
)
def test_what_cannot_be_built_is_refused_where_it_stands(recipe: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        Chain(recipe)
