"""LlamaIndex: an embedding model, a vector store over a collection, and a retriever.

    store = CenoteVectorStore(path="docs.cenote", recipe="minilm | float8 | flat")
    store.add(nodes)
    CenoteRetriever("docs.cenote", similarity_top_k=5).retrieve("how is gzip read?")

The collection encodes what it stores and what it is asked. An index that wants an embedding model all the same
(`VectorStoreIndex.from_vector_store`) takes `CenoteEmbedding` of the same recipe, whose vectors are found in its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from cenote.collection import Hit
from cenote.data.base import Document
from cenote.integrations.conditions import Conditions, every, negated, some
from cenote.integrations.metadata import document, metadata, place
from cenote.integrations.store import Store
from cenote.integrations.vectors import Vectors

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    reason = f"LlamaIndex is not installed ({error})"
    raise ImportError(f'{reason}; install it with: pip install "cenote[llamaindex]"') from error


class CenoteEmbedding(BaseEmbedding):
    """Vectors of a recipe; see `cenote.integrations.vectors.Vectors` for what it may be and what is raised."""

    recipe: str = "minilm"
    device: str | None = None
    _vectors: Vectors = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Build the recipe."""
        super().model_post_init(context)
        self._vectors = Vectors(self.recipe, device=self.device)
        self.model_name = f"cenote: {self.recipe}"

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex writes down."""
        return "CenoteEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        found: list[float] = self._vectors.queries([query])[0].tolist()
        return found

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = self._vectors.documents(texts).tolist()
        return found


class CenoteVectorStore(BasePydanticVectorStore):
    """A collection as a vector store: it keeps the texts of nodes, and makes their vectors itself.

    path: the collection's folder, which may not be there yet. recipe: what a new collection is made with. Raises what
    `cenote.integrations.store.Store` does.
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    flat_metadata: bool = False
    path: str
    recipe: str | None = None
    device: str | None = None
    _store: Store = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Open the collection where there is one."""
        super().model_post_init(context)
        self._store = Store(self.path, self.recipe, device=self.device)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex writes down."""
        return "CenoteVectorStore"

    @property
    def client(self) -> Store:
        """What stands between the collection and frameworks."""
        return self._store

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add nodes, or replace those of the same id, durably; their own embeddings are left aside.

        Raises ValueError naming nodes whose metadata does not fit.
        """
        self._store.add([_document(node) for node in nodes])
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        where = self._store.conditions().equal("ref_doc_id", ref_doc_id)
        self._store.delete([one.id for one in self._store.matching(where)])

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete the nodes that have one of the ids, where these are given, and for which the filters hold.

        Raises ValueError where neither is given; `clear` deletes all.
        """
        if node_ids is None and filters is None:
            raise ValueError("delete_nodes takes node_ids, filters or both; clear() deletes all nodes")
        self._store.delete([one.id for one in self._chosen(node_ids, filters)])

    def clear(self) -> None:
        """Delete all nodes."""
        self._store.delete(self._store.ids())

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return the nodes that have one of the ids, where these are given, and for which the filters hold."""
        return [as_node(one, one.text) for one in self._chosen(node_ids, filters)]

    def _chosen(self, node_ids: list[str] | None, filters: MetadataFilters | None) -> list[Document]:
        conditions = self._store.conditions()
        asked = [] if node_ids is None else [conditions.among("id", node_ids)]
        if filters is not None:
            asked.append(where(filters, conditions))
        return self._store.matching(every(asked))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nearest nodes to the query's text, or to its embedding where it has no text.

        Raises ValueError for a mode other than the default: how a collection searches is its recipe's.
        """
        if query.mode != VectorStoreQueryMode.DEFAULT:
            reason = f"a collection searches as its recipe says, and the query asks for the mode {query.mode.value}"
            raise ValueError(f'{reason}; choose a recipe instead, such as "(bm25) + (minilm | flat) | rrf"')
        if query.query_str is None and query.query_embedding is None:
            raise ValueError("the query has neither a text nor an embedding; give query_str")
        conditions = self._store.conditions()
        asked = [] if query.filters is None else [where(query.filters, conditions)]
        # an index asks with an empty list of nodes where it means all
        asked += [conditions.among("id", query.node_ids)] if query.node_ids else []
        asked += [conditions.among("ref_doc_id", query.doc_ids)] if query.doc_ids else []
        question = np.array([query.query_embedding], np.float32) if query.query_str is None else query.query_str
        hits = self._store.search(question, query.similarity_top_k, where=every(asked) if asked else None)
        return VectorStoreQueryResult(
            nodes=[as_node(hit, hit.text) for hit in hits],
            similarities=[hit.score for hit in hits],
            ids=[hit.id for hit in hits],
        )


class CenoteRetriever(BaseRetriever):
    """Finds nodes in a collection, whoever made it.

    path: the collection's folder. filters: of LlamaIndex, or a condition in SQL. passages: the nearest passages,
    several of a document included. Raises ValueError where there is no collection.
    """

    def __init__(
        self,
        path: str,
        *,
        similarity_top_k: int = 10,
        filters: MetadataFilters | str | None = None,
        passages: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._store, self._k, self._filters, self._passages = Store(path), similarity_top_k, filters, passages
        self._store.info()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked = self._filters
        chosen = where(asked, self._store.conditions()) if isinstance(asked, MetadataFilters) else asked
        hits = self._store.search(query_bundle.query_str, self._k, where=chosen, passages=self._passages)
        return [NodeWithScore(node=as_node(hit, hit.text), score=hit.score) for hit in hits]


def as_node(found: Hit | Document, text: str) -> BaseNode:
    """Return the node that was added, with a text; of documents that LlamaIndex did not add, a new one."""
    if "_node_content" not in found.attributes or found.attributes["_node_content"] is None:
        node = TextNode(id_=found.id, text=text, metadata=metadata(found))
    else:
        node = metadata_dict_to_node(found.attributes, text=text)
    if isinstance(found, Hit) and isinstance(node, TextNode):
        node.start_char_idx, node.end_char_idx = node.start_char_idx or found.start, node.end_char_idx or found.end
    return node


def _document(node: BaseNode) -> Document:
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    return document(node.node_id, text, node_to_metadata_dict(node, remove_text=True))


def where(filters: MetadataFilters, conditions: Conditions) -> str:
    """Return filters as SQL.

    Raises TypeError for a value that an operator cannot take.
    """
    found = [
        where(one, conditions) if isinstance(one, MetadataFilters) else _compared(one, conditions)
        for one in filters.filters
    ]
    if filters.condition == FilterCondition.NOT:
        return negated(some(found))
    return some(found) if found and filters.condition == FilterCondition.OR else every(found)


def _compared(one: MetadataFilter, conditions: Conditions) -> str:
    column, value, operator = place(one.key), one.value, one.operator
    if operator.value in ("<", "<=", ">", ">="):
        return conditions.ordered(column, operator.value, value)
    if operator in (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL):
        if not isinstance(value, list):
            raise TypeError(f"{operator.value} takes a list of values for {one.key}, not {value!r}")
        held = [conditions.holds(column, each) for each in value]
        return {
            FilterOperator.IN: lambda: conditions.among(column, value),
            FilterOperator.NIN: lambda: negated(conditions.among(column, value)),
            FilterOperator.ANY: lambda: some(held),
            FilterOperator.ALL: lambda: every([negated(conditions.missing(column)), *held]),
        }[operator]()
    compared: dict[FilterOperator, Callable[[], str]] = {
        FilterOperator.EQ: partial(conditions.equal, column, value),
        FilterOperator.NE: lambda: negated(conditions.equal(column, value)),
        FilterOperator.CONTAINS: partial(conditions.holds, column, value),
        FilterOperator.TEXT_MATCH: partial(conditions.within, column, value),
        FilterOperator.TEXT_MATCH_INSENSITIVE: partial(conditions.within, column, value, any_case=True),
        FilterOperator.IS_EMPTY: lambda: some([conditions.missing(column), conditions.equal(column, "")]),
    }
    return compared[operator]()
