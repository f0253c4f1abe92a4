import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read when Haystack is imported

import numpy as np
import pytest
from things import AWKWARD, METADATA, QUESTION, RECIPE, TEXTS, among

import cenote

pytest.importorskip("haystack")

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing.document_store import (
    CountDocumentsTest,
    DeleteDocumentsTest,
    FilterDocumentsTest,
    WriteDocumentsTest,
    create_filterable_docs,
)
from haystack.utils.filters import document_matches_filter

from cenote.integrations.haystack import (
    CenoteDocumentEmbedder,
    CenoteDocumentStore,
    CenoteRetriever,
    CenoteTextEmbedder,
)

DOCUMENTS = [Document(id=id, content=text, meta=METADATA[id]) for id, text in TEXTS.items()]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("haystack") / "docs.cenote")


@pytest.fixture(scope="module")
def store(path):
    """A store that tests read."""
    made = CenoteDocumentStore(path, RECIPE)
    assert made.write_documents(DOCUMENTS) == len(DOCUMENTS)
    return made


def by_id(documents):
    return sorted((replaced(one) for one in documents), key=lambda one: one.id)


def replaced(one):
    """A document without a vector, which a collection does not keep."""
    return Document(id=one.id, content=one.content, meta=one.meta)


class TestHaystacksOwn(CountDocumentsTest, DeleteDocumentsTest, WriteDocumentsTest):
    """What Haystack asks of every store."""

    @pytest.fixture
    def document_store(self, tmp_path):
        return CenoteDocumentStore(str(tmp_path / "docs.cenote"), "bm25")

    def test_write_documents(self, document_store):
        assert document_store.write_documents([Document(id="1", content="a")]) == 1
        with pytest.raises(DuplicateDocumentError, match="OVERWRITE or SKIP"):
            document_store.write_documents([Document(id="1", content="b")])


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    made = CenoteDocumentStore(str(tmp_path_factory.mktemp("filled") / "docs.cenote"), "bm25")
    documents = create_filterable_docs()
    made.write_documents(documents)
    return made, documents


class TestHaystacksOwnFilters(FilterDocumentsTest):
    """The same of filters; they only read, so one store serves all but the first of them."""

    @pytest.fixture
    def document_store(self, filled, request, tmp_path):
        if request.node.name == "test_no_filters":
            return CenoteDocumentStore(str(tmp_path / "docs.cenote"), "bm25")
        return Written(filled[0])

    @pytest.fixture
    def filterable_docs(self, filled):
        return filled[1]

    def assert_documents_are_equal(self, received, expected):
        assert by_id(received) == by_id(expected)


class Written:
    """A store whose documents are written already."""

    def __init__(self, store):
        self.filter_documents = store.filter_documents

    def write_documents(self, documents):
        pass


def test_documents_come_back_as_they_were_written(tmp_path):
    store = CenoteDocumentStore(str(tmp_path / "docs.cenote"), RECIPE)
    given = [*DOCUMENTS, Document(id="awkward", content="Anything.", meta=AWKWARD)]
    store.write_documents(given)
    assert by_id(store.filter_documents()) == by_id(given)
    assert by_id(store.search("Anything.", 9)) == by_id(given)


def test_hits_and_scores_are_the_collections(store, path):
    found = CenoteRetriever(store, top_k=3).run(QUESTION)["documents"]
    with cenote.open(path) as opened:
        hits = opened.search(QUESTION, 3)[0]
    assert [(one.id, one.score) for one in found] == [(hit.id, hit.score) for hit in hits]


def compared(field, operator, value):
    return {"field": field, "operator": operator, "value": value}


FILTERS = {
    "a list": compared("meta.tags", "==", ["data"]),
    "a truth value": compared("meta.open", "==", True),
    "a quote": compared("meta.kind", "in", ["it's", None]),
    "the id": compared("id", "in", ["csv", "mail"]),
    "the text": compared("content", "==", TEXTS["csv"]),
    "the source": compared("meta.source", "!=", "time/zones.md"),
    "without meta": compared("year", ">", 1995.5),
    "of others": {
        "operator": "NOT",
        "conditions": [compared("meta.kind", "==", "text"), compared("meta.year", "<", 1995)],
    },
    "of none": {"operator": "OR", "conditions": []},
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_choose_the_documents_that_haystack_chooses(store, name):
    wanted = [one.id for one in DOCUMENTS if document_matches_filter(FILTERS[name], one)]
    assert sorted(one.id for one in store.filter_documents(FILTERS[name])) == sorted(wanted)
    assert sorted(one.id for one in store.search("anything", 9, FILTERS[name])) == sorted(wanted)


def test_a_retrievers_filters_are_replaced_or_merged(store):
    kind, early = compared("meta.kind", "==", "text"), compared("meta.year", "<", 1995)
    for policy, wanted in (
        ("replace", among(lambda m: m.get("year", 9999) < 1995)),
        ("merge", among(lambda m: m.get("kind") == "text" and m["year"] < 1995)),
    ):
        retriever = CenoteRetriever(store, filters=kind, filter_policy=policy)
        assert sorted(one.id for one in retriever.run("anything", filters=early)["documents"]) == wanted
    assert len(CenoteRetriever(store).run("anything", top_k=2)["documents"]) == 2


def test_a_pipeline_is_written_down_and_read_again(store):
    pipeline = Pipeline()
    pipeline.add_component("retriever", CenoteRetriever(store, top_k=2, filters=compared("meta.kind", "==", "text")))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=[CenoteRetriever.__module__])
    asked = {"retriever": {"query": QUESTION}}
    found = again.run(asked)["retriever"]["documents"]
    assert found == pipeline.run(asked)["retriever"]["documents"]
    assert [one.meta["kind"] for one in found] == ["text", "text"]


def test_a_pipeline_writes_documents(tmp_path):
    store = CenoteDocumentStore(str(tmp_path / "docs.cenote"), RECIPE)
    pipeline = Pipeline()
    pipeline.add_component("writer", DocumentWriter(store, policy=DuplicatePolicy.OVERWRITE))
    pipeline.run({"writer": {"documents": DOCUMENTS}})
    assert CenoteRetriever(store, top_k=1).run(QUESTION)["documents"][0].id == "gzip"


def test_embedders_serve_other_stores_with_the_recipes_vectors():
    made = CenoteDocumentEmbedder("wordllama").run(DOCUMENTS)["documents"]
    expected = cenote.Encoder("wordllama").encode(list(TEXTS.values()), normalize_embeddings=True)
    np.testing.assert_allclose([one.embedding for one in made], expected, atol=1e-6)
    assert [one.embedding for one in DOCUMENTS] == [None] * len(DOCUMENTS)
    others = InMemoryDocumentStore()
    others.write_documents(made)
    pipeline = Pipeline()
    pipeline.add_component("embedder", CenoteTextEmbedder("wordllama"))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(others, top_k=1))
    pipeline.connect("embedder", "retriever")
    assert pipeline.run({"embedder": {"text": QUESTION}})["retriever"]["documents"][0].id == "gzip"
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=[CenoteTextEmbedder.__module__])
    assert again.get_component("embedder").recipe == "wordllama"


def test_what_cannot_be_done_says_why(store):
    with pytest.raises(ValueError, match="has no text"):
        store.write_documents([Document(id="empty")])
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        CenoteRetriever(store, top_k=0)
    with pytest.raises(TypeError, match="must be a CenoteDocumentStore, not InMemoryDocumentStore"):
        CenoteRetriever(InMemoryDocumentStore())
    with pytest.raises(TypeError, match="a text goes to CenoteTextEmbedder"):
        CenoteDocumentEmbedder("wordllama").run("a text")
    for filters, says in (
        (compared("meta.year", "~", 1), "compares nothing"),
        ({"operator": "XOR", "conditions": []}, "joins no conditions"),
        ({"operator": "AND", "conditions": ["x"]}, "must be a dict"),
    ):
        with pytest.raises(FilterError, match=says):
            store.filter_documents(filters)
