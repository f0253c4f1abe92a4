import numpy as np
import pytest
from things import AWKWARD, METADATA, QUESTION, RECIPE, TEXTS, among

import cenote

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda

from cenote.integrations.langchain import CenoteEmbeddings, CenoteRetriever, CenoteVectorStore

DOCUMENTS = [Document(id=id, page_content=text, metadata=METADATA[id]) for id, text in TEXTS.items()]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("langchain") / "docs.cenote"


@pytest.fixture(scope="module")
def store(path):
    """A store that tests read."""
    made = CenoteVectorStore(path, RECIPE)
    assert made.add_documents(DOCUMENTS) == list(TEXTS)
    return made


@pytest.fixture
def fresh(tmp_path):
    """A store that a test may change."""
    made = CenoteVectorStore(tmp_path / "docs.cenote", RECIPE)
    made.add_documents(DOCUMENTS)
    return made


def test_documents_come_back_as_they_were_added(fresh):
    awkward = Document(id="awkward", page_content="Anything.", metadata=AWKWARD)
    fresh.add_documents([awkward])
    assert fresh.get_by_ids(["mail", "awkward", "never"]) == [DOCUMENTS[2], awkward]
    assert fresh.similarity_search("Anything.", k=1) == [awkward]


def test_hits_and_scores_are_the_collections(store, path):
    found = store.similarity_search_with_score(QUESTION, k=3)
    with cenote.open(path) as opened:
        hits = opened.search(QUESTION, 3)[0]
    assert [(one.id, score) for one, score in found] == [(hit.id, hit.score) for hit in hits]
    assert store.similarity_search_with_relevance_scores(QUESTION, k=1, score_threshold=0.2)[0][0] == DOCUMENTS[1]


def test_a_vector_of_its_embeddings_finds_what_the_text_finds(store, path):
    vector = CenoteEmbeddings(path).embed_query(QUESTION)
    assert store.similarity_search_by_vector(vector, k=5) == store.similarity_search(QUESTION, k=5)


def test_embeddings_are_the_recipes_vectors():
    embeddings = CenoteEmbeddings("wordllama | truncate 64")
    encoded = cenote.Encoder("wordllama").encode(list(TEXTS.values()))[:, :64]
    expected = encoded / np.linalg.norm(encoded, axis=1, keepdims=True)
    np.testing.assert_allclose(embeddings.embed_documents(list(TEXTS.values())), expected, atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query(TEXTS["csv"]), expected[3], atol=1e-6)


def test_embeddings_of_a_collection_use_what_it_learnt(tmp_path):
    CenoteVectorStore(tmp_path / "pca", "wordllama | pca 3 | flat").add_documents(DOCUMENTS)
    assert len(CenoteEmbeddings(tmp_path / "pca").embed_query("rain")) == 3
    with pytest.raises(ValueError, match="learns from documents"):
        CenoteEmbeddings("wordllama | pca 3")


FILTERS = {
    "a value": ({"year": 1995}, lambda m: m.get("year") == 1995),
    "two values": ({"kind": "text", "open": True}, lambda m: m.get("open") is True),
    "a range": ({"year": {"$gt": 1990, "$lte": 2000}}, lambda m: 1990 < m.get("year", 0) <= 2000),
    "another value": ({"kind": {"$ne": "text"}}, lambda m: m.get("kind") != "text"),
    "one of": ({"kind": {"$in": ["data", "it's"]}}, lambda m: m.get("kind") in ("data", "it's")),
    "none of": ({"year": {"$nin": [1990, 1995]}}, lambda m: m.get("year") not in (1990, 1995)),
    "there": ({"size": {"$exists": True}}, lambda m: "size" in m),
    "not there": ({"size": {"$exists": False}}, lambda m: "size" not in m),
    "in a list": ({"tags": {"$contains": "time"}}, lambda m: "time" in m.get("tags", [])),
    "the source": ({"source": "time/zones.md"}, lambda m: "source" in m),
    "either": ({"$or": [{"year": {"$lt": 1991}}, {"open": True}]}, lambda m: m.get("year") in (1990, 2000)),
    "both": ({"$and": [{"kind": "text"}, {"year": 1990}]}, lambda m: m.get("year") == 1990),
    "not": ({"$not": {"kind": "text"}}, lambda m: m.get("kind") != "text"),
    "nothing asked": ({}, lambda m: True),
    "sql": ("year >= 1995 and kind = 'text'", lambda m: m.get("open") is True),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_choose_the_documents_that_python_chooses(store, name):
    asked, wanted = FILTERS[name]
    assert sorted(one.id for one in store.similarity_search("anything", k=9, filter=asked)) == among(wanted)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"year": {"$near": 3}}, r"\$near compares nothing; there are \$eq"),
        ({"$nor": []}, r"\$nor joins no filters"),
        ({"$or": {"year": 1}}, r"\$or takes a list"),
        ({"$not": 1}, r"\$not takes a filter"),
        ({"year": {"$in": "1990"}}, r"\$in takes a list"),
        ({"year": {"$gt": "x"}}, "year holds int64"),
        ("year >", "no condition"),
    ],
)
def test_filters_that_mean_nothing_say_so(store, asked, says):
    with pytest.raises((ValueError, TypeError), match=says):
        store.similarity_search("anything", filter=asked)


def test_added_again_is_replaced_and_deleted_is_gone(fresh):
    fresh.add_documents([Document(id="csv", page_content="Write rows.", metadata={"year": 1})])
    assert fresh.get_by_ids(["csv"])[0].page_content == "Write rows."
    assert fresh.delete(["csv", "never"])
    assert fresh.get_by_ids(["csv"]) == []
    fresh.delete()
    assert fresh.similarity_search(QUESTION) == []


def test_texts_get_ids_of_their_own(tmp_path):
    texts = list(TEXTS.values())
    embeddings = CenoteEmbeddings("wordllama | int8")
    store = CenoteVectorStore.from_texts(texts, embeddings, list(METADATA.values()), path=tmp_path / "made")
    found = store.similarity_search(TEXTS["mail"], k=1)[0]
    assert (found.page_content, found.metadata) == (TEXTS["mail"], METADATA["mail"])
    assert store.get_by_ids([found.id]) == [found]
    with cenote.open(tmp_path / "made") as opened:
        assert opened.recipe == "wordllama | int8"


def test_relevant_documents_unlike_one_another_come_before_copies(tmp_path):
    store = CenoteVectorStore(tmp_path / "docs.cenote", RECIPE)
    store.add_texts(["Compress data with gzip.", "Compress data with gzip!", "Compress a file."], ids=["a", "b", "c"])
    question = "Compress data with gzip."
    assert [one.id for one in store.similarity_search(question, k=2)] == ["a", "b"]
    assert [one.id for one in store.max_marginal_relevance_search(question, k=2, lambda_mult=0.3)] == ["a", "c"]
    assert [one.id for one in store.max_marginal_relevance_search(question, k=2, lambda_mult=1)] == ["a", "b"]


def test_passages_say_where_they_stand(tmp_path):
    text = "Rain falls on the harbour. Glass is made of sand."
    store = CenoteVectorStore(tmp_path / "docs.cenote", "sentences 1 | wordllama | flat")
    store.add_texts([text], [{"year": 7}], ids=["a"])
    found = store.similarity_search("glass and sand", k=1)[0]
    assert found.metadata["year"] == 7
    assert text[found.metadata["start"] : found.metadata["end"]] == found.page_content
    assert "sand" in found.page_content
    assert "harbour" not in found.page_content
    assert store.get_by_ids(["a"])[0].page_content == text


def test_a_retriever_is_a_step_of_a_chain(store, path):
    retriever = CenoteRetriever(path=path, k=2, filter={"year": {"$lt": 2000}})
    found = (retriever | RunnableLambda(lambda some: [one.id for one in some])).invoke(QUESTION)
    assert found == ["gzip", "dates"]
    assert len(retriever.invoke(QUESTION, k=1)) == 1
    with cenote.open(path) as opened:
        expected = [hit.score for hit in opened.search(QUESTION, 2, where="year < 2000")[0]]
    assert [one.metadata["score"] for one in retriever.invoke(QUESTION)] == expected


def test_the_stores_own_retriever_takes_its_filters(store):
    retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"kind": "text"}})
    assert retriever.invoke(QUESTION)[0].metadata["kind"] == "text"


def test_what_cannot_be_done_says_why(store, tmp_path):
    with pytest.raises(TypeError, match="a collection makes its own vectors"):
        CenoteVectorStore.from_texts(["a"], DeterministicFakeEmbedding(size=3), path=tmp_path / "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no collection at"):
        CenoteRetriever(path=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="ids must be one a document"):
        store.add_documents(DOCUMENTS, ids=["a"])
    with pytest.raises(TypeError, match="text 1 must be a string"):
        CenoteEmbeddings("wordllama").embed_documents(["a", 2])  # type: ignore[list-item]
    words = CenoteVectorStore(tmp_path / "words", "bm25")
    words.add_documents(DOCUMENTS)
    with pytest.raises(ValueError, match="no scale from 0 to 1"):
        words.similarity_search_with_relevance_scores("gzip")
