import pytest
from things import METADATA, QUESTION, RECIPE, TEXTS

import cenote
from cenote.data.base import Document
from cenote.integrations.metadata import document
from cenote.integrations.store import Store


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "docs.cenote", RECIPE)
    made.add([document(id, text, METADATA[id]) for id, text in TEXTS.items()])
    return made


def test_a_store_without_documents_finds_nothing_and_is_no_folder(tmp_path):
    store = Store(tmp_path / "docs.cenote")
    assert (len(store), store.ids(), store.get(["a"]), store.matching(), store.search("rain", 3)) == (0, [], [], [], [])
    assert store.delete(["a"]) == 0
    store.add([])
    assert not (tmp_path / "docs.cenote").exists()


def test_a_store_is_a_collection_like_any_other(store):
    with cenote.open(store.path) as opened:
        assert opened.recipe == RECIPE
        assert [hit.id for hit in opened.search(QUESTION, 5)[0]] == [hit.id for hit in store.search(QUESTION, 5)]


def test_what_others_write_is_seen(store):
    with cenote.open(store.path) as other:
        other.add([{"id": "tar", "text": "Write archives with tar."}])
    assert "tar" in store.ids()
    assert store.search("archives tar", 1)[0].id == "tar"


def test_a_collection_that_others_make_meanwhile_is_the_stores(tmp_path):
    first, second = Store(tmp_path / "docs.cenote"), Store(tmp_path / "docs.cenote", "bm25")
    cenote.create(tmp_path / "docs.cenote", [{"id": "a", "text": TEXTS["gzip"]}], RECIPE).close()
    first.add([Document("b", TEXTS["mail"])])
    assert (first.ids(), first.recipe) == (["a", "b"], RECIPE)
    with pytest.raises(ValueError, match="was made with the recipe"):
        second.ids()


def test_a_store_can_be_emptied_and_filled_again(store):
    assert store.delete([*TEXTS, "never"]) == len(TEXTS)
    assert (len(store), store.search(QUESTION, 3)) == (0, [])
    store.add([Document("new", "Compress data.")])
    assert [hit.id for hit in store.search(QUESTION, 3)] == ["new"]


def test_documents_that_do_not_fit_are_named_and_the_others_stored(store):
    wrong, right = document("wrong", "A text.", {"year": "long ago"}), document("right", "Another.", {"year": 7})
    with pytest.raises(ValueError, match=r"1 of 2 documents do not fit: .*'wrong'.*the other 1 are stored"):
        store.add([wrong, right])
    assert "right" in store.ids()
    assert "wrong" not in store.ids()


def test_another_recipe_than_the_collections_is_refused(store):
    with pytest.raises(ValueError, match="was made with the recipe"):
        Store(store.path, "wordllama | int8 | flat")
    assert Store(store.path, "wordllama|flat").recipe == RECIPE


@pytest.mark.parametrize(
    ("recipe", "cosine"),
    [
        (RECIPE, True),
        ("wordllama | truncate 64 | int8 | flat", True),
        ("wordllama | float8 | flat | rerank int8 5", True),
        ("wordllama | binary | flat", False),
        ("bm25", False),
        ("(bm25) + (wordllama | flat) | rrf", False),
    ],
)
def test_scores_are_cosines_or_not(tmp_path, recipe, cosine):
    store = Store(tmp_path / "docs.cenote", recipe)
    store.add([Document(id, text) for id, text in TEXTS.items()])
    assert store.cosine is cosine
    top = store.search(TEXTS["mail"], 1)[0]
    assert top.id == "mail"
    assert not cosine or abs(top.score - 1) < 0.1
