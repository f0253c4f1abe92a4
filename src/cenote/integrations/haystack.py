"""Haystack: a document store over a collection with its retriever, and embedders.

    store = CenoteDocumentStore("docs.cenote", "passages 256 | minilm | float8 | flat")
    store.write_documents(documents)
    pipeline.add_component("retriever", CenoteRetriever(store, top_k=5))

The collection encodes what it stores and what it is asked, so a pipeline over it needs no embedder; the embedders here
are for other stores. Haystack reads a pipeline that was written down where it trusts this module:
`Pipeline.loads(text, allowed_modules=["cenote.integrations.haystack"])`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cenote.collection import Hit
from cenote.data.base import Document as Stored
from cenote.integrations.conditions import Conditions, every, negated, some
from cenote.integrations.metadata import document, metadata, place
from cenote.integrations.store import Store
from cenote.integrations.vectors import Vectors

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy, FilterPolicy, apply_filter_policy
    from haystack.errors import FilterError
except ImportError as error:
    reason = f"Haystack is not installed ({error})"
    raise ImportError(f'{reason}; install it with: pip install "cenote[haystack]"') from error


class CenoteDocumentStore:
    """A collection as a document store: it keeps texts and metadata, and makes vectors itself.

    path: the collection's folder, which may not be there yet. recipe: what a new collection is made with. Raises what
    `cenote.integrations.store.Store` does.
    """

    def __init__(self, path: str, recipe: str | None = None, device: str | None = None) -> None:
        self.path, self.recipe, self.device = str(path), recipe, device
        self._store = Store(path, recipe, device=device)

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments, as pipelines are written down."""
        told: dict[str, Any] = default_to_dict(self, path=self.path, recipe=self.recipe, device=self.device)
        return told

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CenoteDocumentStore:
        """Make the store that `to_dict` told of."""
        made: CenoteDocumentStore = default_from_dict(cls, data)
        return made

    def count_documents(self) -> int:
        """Return how many documents there are."""
        return len(self._store)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the documents for which the filters hold, or all.

        Raises FilterError for filters that are none.
        """
        return [as_document(one) for one in self._store.matching(self._where(filters))]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents, durably, and return how many; without a policy, an id that is there already is an error.

        Raises DuplicateDocumentError for such an id under FAIL and NONE, ValueError for documents that have no text
        and for metadata that does not fit.
        """
        if not isinstance(documents, list) or not all(isinstance(one, Document) for one in documents):
            raise ValueError("documents must be a list of Haystack's Documents")
        there = {one.id for one in self._store.get([one.id for one in documents])}
        chosen: dict[str, Stored] = {}
        for one in documents:
            if (one.id in there or one.id in chosen) and policy != DuplicatePolicy.OVERWRITE:
                if policy == DuplicatePolicy.SKIP:
                    continue
                reason = f"the document {one.id!r} is in {self.path} already"
                raise DuplicateDocumentError(f"{reason}; write with DuplicatePolicy.OVERWRITE or SKIP")
            if one.content is None:
                raise ValueError(f"the document {one.id!r} has no text; a collection stores texts only")
            chosen[one.id] = document(one.id, one.content, one.meta)
        self._store.add(list(chosen.values()))
        return len(documents) if policy == DuplicatePolicy.OVERWRITE else len(chosen)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents, durably; those that are not there are passed over."""
        self._store.delete(document_ids)

    def search(
        self, query: str, top_k: int, filters: dict[str, Any] | None = None, *, passages: bool = False
    ) -> list[Document]:
        """Return the nearest documents with their scores, each by its best passage, whose place is in its metadata."""
        hits = self._store.search(query, top_k, where=self._where(filters), passages=passages)
        return [as_hit(hit, cut=self._store.cuts) for hit in hits]

    def _where(self, filters: dict[str, Any] | None) -> str | None:
        return where(filters, self._store.conditions()) if filters else None


@component
class CenoteRetriever:
    """Finds documents of a CenoteDocumentStore by the text of a query.

    filters and top_k: what holds unless `run` says otherwise. passages: the nearest passages, several of a document
    included. Raises ValueError for a top_k below 1, TypeError for another store.
    """

    def __init__(
        self,
        document_store: CenoteDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        passages: bool = False,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        if not isinstance(document_store, CenoteDocumentStore):
            raise TypeError(f"document_store must be a CenoteDocumentStore, not {type(document_store).__name__}")
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {top_k}")
        self.document_store, self.filters, self.top_k, self.passages = document_store, filters, top_k, passages
        policy = filter_policy
        self.filter_policy = policy if isinstance(policy, FilterPolicy) else FilterPolicy.from_str(policy)

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments, as pipelines are written down."""
        told: dict[str, Any] = default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            passages=self.passages,
            filter_policy=self.filter_policy.value,
        )
        return told

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CenoteRetriever:
        """Make the retriever that `to_dict` told of."""
        given = data["init_parameters"]
        store = given["document_store"]
        if not isinstance(store, CenoteDocumentStore):
            store = CenoteDocumentStore.from_dict(store)
        made: CenoteRetriever = default_from_dict(cls, {**data, "init_parameters": {**given, "document_store": store}})
        return made

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return {"documents": the nearest, best first}."""
        chosen = apply_filter_policy(self.filter_policy, self.filters, filters)
        k = self.top_k if top_k is None else top_k
        return {"documents": self.document_store.search(query, k, chosen, passages=self.passages)}


class _Embedder:
    """What both embedders are made of: a recipe, built when a pipeline warms up or at the first text."""

    def __init__(self, recipe: str = "minilm", device: str | None = None) -> None:
        self.recipe, self.device = recipe, device
        self._vectors: Vectors | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments, as pipelines are written down."""
        told: dict[str, Any] = default_to_dict(self, recipe=self.recipe, device=self.device)
        return told

    def warm_up(self) -> None:
        """Build the recipe; raises what `cenote.integrations.vectors.Vectors` does."""
        self._built()

    def _built(self) -> Vectors:
        if self._vectors is None:
            self._vectors = Vectors(self.recipe, device=self.device)
        return self._vectors


@component
class CenoteTextEmbedder(_Embedder):
    """The vector of a question by a recipe; see `cenote.integrations.vectors.Vectors` for what that may be."""

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        """Return {"embedding": the vector}."""
        return {"embedding": self._built().queries([text])[0].tolist()}


@component
class CenoteDocumentEmbedder(_Embedder):
    """The vectors of documents by a recipe; see `cenote.integrations.vectors.Vectors` for what that may be."""

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Return {"documents": the same with their vectors}; a document without a text has that of an empty one.

        Raises TypeError for what is no list of documents.
        """
        if not isinstance(documents, list) or not all(isinstance(one, Document) for one in documents):
            raise TypeError("documents must be a list of Haystack's Documents; a text goes to CenoteTextEmbedder")
        vectors = self._built().documents([one.content or "" for one in documents]).tolist()
        return {"documents": [replace(one, embedding=vector) for one, vector in zip(documents, vectors, strict=True)]}


def as_document(found: Stored) -> Document:
    """Return a stored document as it was written, without a vector."""
    return Document(id=found.id, content=found.text, meta=metadata(found))


def as_hit(hit: Hit, *, cut: bool) -> Document:
    """Return a hit as Haystack has documents; of a document that is cut, where the passage stands in it."""
    told: dict[str, Any] = {"start": hit.start, "end": hit.end} if cut else {}
    told |= {name: value for name, value in (("page", hit.page), ("heading", hit.heading)) if value is not None}
    return Document(id=hit.id, content=hit.text, meta=told | metadata(hit), score=hit.score)


def where(filters: Mapping[str, Any], conditions: Conditions) -> str:
    """Return filters as SQL.

    Raises FilterError for what is no filter, and for a value that an operator cannot take.
    """
    if not isinstance(filters, Mapping):
        raise FilterError(f"a filter must be a dict, not {filters!r}")
    for name in ("operator", "value" if "field" in filters else "conditions"):
        if name not in filters:
            raise FilterError(f"the filter {dict(filters)!r} has no {name!r}")
    operator = filters["operator"]
    if "field" in filters:
        return _compared(_place(filters["field"]), operator, filters["value"], conditions)
    parts = [where(one, conditions) for one in filters["conditions"]]
    if operator not in ("AND", "OR", "NOT"):
        raise FilterError(f"the operator {operator!r} joins no conditions; there are AND, OR and NOT")
    return some(parts) if operator == "OR" else every(parts) if operator == "AND" else negated(every(parts))


def _place(field: str) -> str:
    """The column of a field: id and content are documents', all others metadata's, with or without `meta.`."""
    if field in ("id", "content"):
        return "text" if field == "content" else "id"
    return place(field.removeprefix("meta."))


def _compared(name: str, operator: str, value: Any, conditions: Conditions) -> str:
    try:
        if operator in ("<", "<=", ">", ">="):
            return conditions.ordered(name, operator, value)
    except TypeError as error:
        raise FilterError(str(error)) from None
    if operator in ("in", "not in") and not isinstance(value, list):
        raise FilterError(f"{operator!r} takes a list of values, not {value!r}")
    compared: dict[str, Callable[[], str]] = {
        "==": lambda: conditions.equal(name, value),
        "!=": lambda: negated(conditions.equal(name, value)),
        "in": lambda: conditions.among(name, value),
        "not in": lambda: negated(conditions.among(name, value)),
    }
    if operator not in compared:
        raise FilterError(f"the operator {operator!r} compares nothing; there are ==, !=, <, <=, >, >=, in and not in")
    return compared[operator]()
