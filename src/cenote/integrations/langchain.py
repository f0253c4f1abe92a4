"""LangChain: embeddings, a vector store over a collection, and a retriever.

    store = CenoteVectorStore("docs.cenote", "passages 256 | minilm | float8 | flat")
    store.add_documents(documents)
    store.as_retriever(search_kwargs={"k": 5, "filter": {"year": {"$gte": 1990}}})

The collection encodes what it stores and what it is asked: no other embeddings are needed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from cenote.collection import Hit
from cenote.integrations.conditions import Conditions, every, negated, some
from cenote.integrations.metadata import document, metadata, place
from cenote.integrations.store import Store
from cenote.integrations.vectors import Vectors

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
    from langchain_core.vectorstores.utils import maximal_marginal_relevance
    from pydantic import Field, PrivateAttr
except ImportError as error:
    reason = f"LangChain is not installed ({error})"
    raise ImportError(f'{reason}; install it with: pip install "cenote[langchain]"') from error

Filter = str | Mapping[str, Any]
"""SQL, or LangChain's dicts: {"year": 1990}, {"year": {"$gte": 1990}}, {"$or": [...]}."""


class CenoteEmbeddings(Embeddings):
    """Vectors of a recipe; see `cenote.integrations.vectors.Vectors` for what it may be and what is raised."""

    def __init__(self, recipe: str | Path = "minilm", *, device: str | None = None) -> None:
        self._vectors = Vectors(recipe, device=device)
        self.recipe = self._vectors.recipe

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Encode documents."""
        found: list[list[float]] = self._vectors.documents(texts).tolist()
        return found

    def embed_query(self, text: str) -> list[float]:
        """Encode a question."""
        found: list[float] = self._vectors.queries([text])[0].tolist()
        return found


class CenoteVectorStore(VectorStore):
    """A collection as a vector store.

    path: the collection's folder, which may not be there yet. recipe: what a new collection is made with. Raises what
    `cenote.integrations.store.Store` does.
    """

    def __init__(self, path: str | Path, recipe: str | None = None, *, device: str | None = None) -> None:
        self._store = Store(path, recipe, device=device)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path,
    ) -> Self:
        """Make a collection at `path` with the recipe of the embeddings, and add texts to it.

        Raises TypeError for embeddings of another kind: a collection makes its own vectors.
        """
        if not isinstance(embedding, CenoteEmbeddings):
            asked = f"embedding is {type(embedding).__name__}, and a collection makes its own vectors"
            raise TypeError(f'{asked}; pass CenoteEmbeddings("minilm"), or another recipe')
        store = cls(path, embedding.recipe)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_documents(self, documents: list[Document], *, ids: Sequence[str | None] | None = None) -> list[str]:
        """Add documents, or replace those of the same id, durably; those without an id get one. Return the ids.

        Raises ValueError for metadata that cannot be stored, and where there are not as many ids as documents.
        """
        if ids is not None and len(ids) != len(documents):
            raise ValueError(f"ids must be one a document: there are {len(ids)} and {len(documents)}")
        given = [one.id for one in documents] if ids is None else ids
        named = [id or str(uuid.uuid4()) for id in given]
        pairs = zip(named, documents, strict=True)
        self._store.add([document(id, one.page_content, one.metadata) for id, one in pairs])
        return named

    def delete(self, ids: list[str] | None = None) -> bool:
        """Delete documents, durably; all of them where ids is None. Those that are not there are passed over."""
        self._store.delete(self._store.ids() if ids is None else ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the whole documents of some ids, without those that are not there."""
        return [Document(id=one.id, page_content=one.text, metadata=metadata(one)) for one in self._store.get(ids)]

    def similarity_search(self, query: str, k: int = 4, filter: Filter | None = None) -> list[Document]:
        """Return the k nearest documents, each by its best passage, whose place is in its metadata."""
        return [one for one, _ in self.similarity_search_with_score(query, k, filter)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None
    ) -> list[tuple[Document, float]]:
        """Return the k nearest documents and their scores; greater is nearer."""
        hits = self._store.search(query, k, where=self._where(filter))
        return [(self._document(hit), hit.score) for hit in hits]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Filter | None = None
    ) -> list[Document]:
        """Return the k nearest documents to a vector that `CenoteEmbeddings` of this collection made."""
        vector = np.array([embedding], np.float32)
        return [self._document(hit) for hit in self._store.search(vector, k, where=self._where(filter))]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, filter: Filter | None = None
    ) -> list[Document]:
        """Return k of the fetch_k nearest documents, near to the question and, as lambda_mult falls, unlike another."""
        found = self.similarity_search(query, fetch_k, filter)
        if not found:
            return []
        leg = self._store.leg
        candidates = list(leg.vectors([one.page_content for one in found], "document"))
        chosen = maximal_marginal_relevance(leg.vectors([query], "query")[0], candidates, lambda_mult, k)
        return [found[number] for number in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Cosines as they are, negative ones as 0."""
        if not self._store.cosine:
            reason = f'scores of the recipe "{self._store.recipe}" have no scale from 0 to 1'
            raise ValueError(f"{reason}; use similarity_search_with_score, which gives them as they are")
        return lambda score: min(max(score, 0.0), 1.0)

    def _document(self, hit: Hit) -> Document:
        return as_document(hit, cut=self._store.cuts)

    def _where(self, filter: Filter | None) -> str | None:
        return where(filter, self._store.conditions()) if isinstance(filter, Mapping) else filter


class CenoteRetriever(BaseRetriever):
    """Finds documents in a collection; their scores are in the metadata `score`.

    path: the collection's folder. k: how many. filter: as the vector store takes it. passages: the k nearest passages,
    several of a document included.
    """

    path: str | Path
    k: int = Field(default=4, ge=1)
    filter: str | dict[str, Any] | None = None
    passages: bool = False
    _store: Store = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Open the collection; raises ValueError where there is none."""
        super().model_post_init(context)
        self._store = Store(self.path)
        self._store.info()

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        chosen = where(self.filter, self._store.conditions()) if isinstance(self.filter, dict) else self.filter
        hits = self._store.search(query, self.k if k is None else k, where=chosen, passages=self.passages)
        found = [as_document(hit, cut=self._store.cuts) for hit in hits]
        for one, hit in zip(found, hits, strict=True):
            one.metadata["score"] = hit.score
        return found


def as_document(hit: Hit, *, cut: bool) -> Document:
    """Return a hit as LangChain has documents; of a document that is cut, where the passage stands in it."""
    told: dict[str, Any] = {"start": hit.start, "end": hit.end} if cut else {}
    told |= {name: value for name, value in (("page", hit.page), ("heading", hit.heading)) if value is not None}
    return Document(id=hit.id, page_content=hit.text, metadata=told | metadata(hit))


def where(filter: Mapping[str, Any], conditions: Conditions) -> str:
    """Return a filter of LangChain's as SQL.

    Raises ValueError for an operator that is not known, TypeError for a value that an operator cannot take.
    """
    return every(_part(name, value, conditions) for name, value in filter.items())


def _part(name: str, value: Any, conditions: Conditions) -> str:
    if name in ("$and", "$or"):
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            raise TypeError(f"{name} takes a list of filters, not {value!r}")
        return (every if name == "$and" else some)(where(one, conditions) for one in value)
    if name == "$not":
        if not isinstance(value, Mapping):
            raise TypeError(f"$not takes a filter, not {value!r}")
        return negated(where(value, conditions))
    if name.startswith("$"):
        raise ValueError(f"{name} joins no filters; there are $and, $or and $not")
    column = place(name)
    asked = value if isinstance(value, Mapping) else {"$eq": value}
    return every(_compared(column, operator, operand, conditions) for operator, operand in asked.items())


_ORDER = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_OTHERS = ("$eq", "$ne", "$in", "$nin", "$exists", "$contains")


def _compared(column: str, operator: str, value: Any, conditions: Conditions) -> str:
    if operator in _ORDER:
        return conditions.ordered(column, _ORDER[operator], value)
    if operator in ("$in", "$nin"):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise TypeError(f"{operator} takes a list of values, not {value!r}")
        found = conditions.among(column, value)
        return found if operator == "$in" else negated(found)
    if operator == "$exists":
        return negated(conditions.missing(column)) if value else conditions.missing(column)
    if operator == "$contains":
        return conditions.holds(column, value)
    if operator not in _OTHERS:
        raise ValueError(f"{operator} compares nothing; there are {', '.join((*_OTHERS, *_ORDER))}")
    found = conditions.equal(column, value)
    return found if operator == "$eq" else negated(found)
