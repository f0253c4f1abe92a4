import numpy as np
import pytest
from things import AWKWARD, METADATA, QUESTION, RECIPE, TEXTS, among

import cenote

pytest.importorskip("llama_index.core")

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from cenote.integrations.llamaindex import CenoteEmbedding, CenoteRetriever, CenoteVectorStore


def node(id, text, given, document="of all"):
    made = TextNode(id_=id, text=text, metadata=given, excluded_embed_metadata_keys=["year"])
    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


NODES = [node(id, text, METADATA[id], "times" if id in ("dates", "zones") else "others") for id, text in TEXTS.items()]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("llamaindex") / "docs.cenote")


@pytest.fixture(scope="module")
def store(path):
    """A store that tests read."""
    made = CenoteVectorStore(path=path, recipe=RECIPE)
    assert made.add(NODES) == list(TEXTS)
    return made


@pytest.fixture
def fresh(tmp_path):
    """A store that a test may change."""
    made = CenoteVectorStore(path=str(tmp_path / "docs.cenote"), recipe=RECIPE)
    made.add(NODES)
    return made


def plain(one):
    """A node without its place in the text, which a hit tells."""
    return {**one.model_dump(), "start_char_idx": None, "end_char_idx": None}


def test_nodes_come_back_as_they_were_added(fresh):
    awkward = node("awkward", "Anything.", AWKWARD)
    fresh.add([awkward])
    assert [plain(one) for one in fresh.get_nodes(["mail", "awkward", "never"])] == [plain(NODES[2]), plain(awkward)]
    found = fresh.query(VectorStoreQuery(query_str="Anything.", similarity_top_k=1))
    assert plain(found.nodes[0]) == plain(awkward)


def test_hits_and_scores_are_the_collections(store, path):
    found = store.query(VectorStoreQuery(query_str=QUESTION, similarity_top_k=3))
    with cenote.open(path) as opened:
        hits = opened.search(QUESTION, 3)[0]
    assert list(zip(found.ids, found.similarities, strict=True)) == [(hit.id, hit.score) for hit in hits]
    assert [one.node_id for one in found.nodes] == found.ids


def test_an_embedding_finds_what_its_text_finds(store, path):
    vector = CenoteEmbedding(recipe=path).get_query_embedding(QUESTION)
    asked = VectorStoreQuery(query_embedding=vector, similarity_top_k=5)
    assert store.query(asked).ids == store.query(VectorStoreQuery(query_str=QUESTION, similarity_top_k=5)).ids


def test_embeddings_are_the_recipes_vectors():
    embedding = CenoteEmbedding(recipe="wordllama")
    expected = cenote.Encoder("wordllama").encode(list(TEXTS.values()), normalize_embeddings=True)
    np.testing.assert_allclose(embedding.get_text_embedding_batch(list(TEXTS.values())), expected, atol=1e-6)
    np.testing.assert_allclose(embedding.get_query_embedding(TEXTS["csv"]), expected[3], atol=1e-6)
    assert CenoteEmbedding.from_dict(embedding.to_dict()).get_text_embedding("a") == embedding.get_text_embedding("a")


def test_an_index_over_a_store_finds_its_nodes(tmp_path):
    store = CenoteVectorStore(path=str(tmp_path / "docs.cenote"), recipe=RECIPE)
    index = VectorStoreIndex(
        NODES,
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=CenoteEmbedding(recipe="wordllama"),
    )
    asked = MetadataFilters(filters=[MetadataFilter(key="kind", value="text")])
    found = index.as_retriever(similarity_top_k=2, filters=asked).retrieve(QUESTION)
    assert {one.node.metadata["kind"] for one in found} == {"text"}
    again = VectorStoreIndex.from_vector_store(store, embed_model=CenoteEmbedding(recipe="wordllama"))
    assert again.as_retriever(similarity_top_k=1).retrieve(QUESTION)[0].node_id == "gzip"


def one(key, operator, value):
    return MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])


def both(condition, *filters):
    return MetadataFilters(filters=list(filters), condition=condition)


OP = FilterOperator
FILTERS = {
    "equal": (one("year", OP.EQ, 1995), lambda m: m.get("year") == 1995),
    "not equal": (one("year", OP.NE, 1995), lambda m: m.get("year") != 1995),
    "above": (one("year", OP.GT, 1995), lambda m: m.get("year", 0) > 1995),
    "at least": (one("year", OP.GTE, 1995), lambda m: m.get("year", 0) >= 1995),
    "below": (one("year", OP.LT, 1995), lambda m: m.get("year", 9999) < 1995),
    "at most": (one("year", OP.LTE, 1995), lambda m: m.get("year", 9999) <= 1995),
    "one of": (one("kind", OP.IN, ["data", "it's"]), lambda m: m.get("kind") in ("data", "it's")),
    "none of": (one("kind", OP.NIN, ["data", "it's"]), lambda m: m.get("kind") not in ("data", "it's")),
    "any": (one("tags", OP.ANY, ["text", "data"]), lambda m: bool({"text", "data"} & set(m.get("tags", [])))),
    "all": (one("tags", OP.ALL, ["time", "text"]), lambda m: {"time", "text"} <= set(m.get("tags", []))),
    "inside": (one("kind", OP.TEXT_MATCH, "ex"), lambda m: "ex" in m.get("kind", "")),
    "inside, any case": (one("kind", OP.TEXT_MATCH_INSENSITIVE, "EX"), lambda m: "ex" in m.get("kind", "")),
    "contains": (one("tags", OP.CONTAINS, "time"), lambda m: "time" in m.get("tags", [])),
    "empty": (one("kind", OP.IS_EMPTY, None), lambda m: "kind" not in m),
    "or": (
        both(FilterCondition.OR, one("year", OP.LT, 1991), one("size", OP.GT, 1.0)),
        lambda m: m.get("year") == 1990 or "size" in m,
    ),
    "and": (
        both(FilterCondition.AND, one("kind", OP.EQ, "text"), one("year", OP.GT, 1990)),
        lambda m: m.get("kind") == "text" and m["year"] > 1990,
    ),
    "not": (both(FilterCondition.NOT, one("kind", OP.EQ, "text")), lambda m: m.get("kind") != "text"),
    "none": (MetadataFilters(filters=[]), lambda m: True),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_choose_the_nodes_that_python_chooses(store, name):
    asked, wanted = FILTERS[name]
    assert sorted(one.node_id for one in store.get_nodes(filters=asked)) == among(wanted)
    found = store.query(VectorStoreQuery(query_str="anything", similarity_top_k=9, filters=asked))
    assert sorted(found.ids) == among(wanted)


def test_the_nodes_of_documents_are_found_and_deleted(fresh):
    asked = VectorStoreQuery(query_str=QUESTION, similarity_top_k=9, doc_ids=["times"])
    assert sorted(fresh.query(asked).ids) == ["dates", "zones"]
    asked = VectorStoreQuery(query_str=QUESTION, similarity_top_k=9, node_ids=["csv", "mail"])
    assert sorted(fresh.query(asked).ids) == ["csv", "mail"]
    fresh.delete("times")
    assert sorted(one.node_id for one in fresh.get_nodes()) == ["csv", "gzip", "mail"]
    fresh.delete_nodes(["csv", "gzip"], one("kind", OP.EQ, "data"))
    assert sorted(one.node_id for one in fresh.get_nodes()) == ["csv", "mail"]
    fresh.clear()
    assert fresh.get_nodes() == []


def test_a_retriever_finds_nodes_in_any_collection(tmp_path):
    rows = [{"id": id, "text": text, "year": METADATA[id].get("year")} for id, text in TEXTS.items()]
    with cenote.create(tmp_path / "docs.cenote", rows, "sentences 1 | wordllama | flat") as made:
        hit = made.search(QUESTION, 1)[0][0]
    for filters in ("year < 2000", one("year", OP.LT, 2000)):
        found = CenoteRetriever(str(tmp_path / "docs.cenote"), similarity_top_k=2, filters=filters).retrieve(QUESTION)
        assert [one.node_id for one in found] == ["gzip", "dates"]
        assert (found[0].score, found[0].text, found[0].metadata) == (hit.score, hit.text, {"year": 1995})
        assert (found[0].node.start_char_idx, found[0].node.end_char_idx) == (hit.start, hit.end)


def test_what_cannot_be_done_says_why(store, tmp_path):
    with pytest.raises(ValueError, match="there is no collection at"):
        CenoteRetriever(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="asks for the mode hybrid"):
        store.query(VectorStoreQuery(query_str="a", mode=VectorStoreQueryMode.HYBRID))
    with pytest.raises(ValueError, match="neither a text nor an embedding"):
        store.query(VectorStoreQuery())
    with pytest.raises(ValueError, match="takes node_ids, filters or both"):
        store.delete_nodes()
    with pytest.raises(TypeError, match="in takes a list of values for year"):
        store.get_nodes(filters=one("year", OP.IN, 1995))
    with pytest.raises(TypeError, match="year holds int64"):
        store.get_nodes(filters=one("year", OP.GT, "x"))
