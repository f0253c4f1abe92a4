"""The application: what can be asked over HTTP, and how it is answered. The service's threads do the work."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.responses import Response

import cenote
from cenote.serve import bodies, metrics, refusals
from cenote.serve.encoding import Encode, as_base64, as_numbers
from cenote.serve.gate import Gate
from cenote.serve.metrics import Counted
from cenote.serve.pages import add_pages
from cenote.serve.searching import Found, Search
from cenote.serve.service import Service
from cenote.serve.writing import Add

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": bodies.Refusal, "description": what}
    for status, what in (
        (400, "The request makes no sense."),
        (401, "The token is missing or wrong."),
        (413, "The body is too large."),
        (422, "The body is not of this shape."),
        (429, "Too many requests wait."),
    )
}
_ABSENT: dict[int | str, dict[str, Any]] = {404: {"model": bodies.Refusal, "description": "There is no such document."}}
_TAKEN: dict[int | str, dict[str, Any]] = {409: {"model": bodies.Refusal, "description": "Another process writes."}}


def application(service: Service, *, token: str | None = None, hosts: frozenset[str] | None = None) -> FastAPI:
    """Return the application over a service. token, hosts: see `Gate`."""
    bearer = [] if token is None else [Depends(HTTPBearer(auto_error=False))]
    app = FastAPI(
        title="cenote",
        version=cenote.__version__,
        summary=f"Search of {service.name}.",
        responses=_REFUSALS,
        docs_url=None,  # its page would come from the internet
        redoc_url=None,
        redirect_slashes=False,
    )
    refusals.install(app)
    _documents(app, service, bearer)
    _vectors(app, service, bearer)
    _state(app, service, bearer)
    add_pages(app, {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"})
    app.add_middleware(Gate, token=token, hosts=hosts)
    app.add_middleware(Counted, metrics=service.metrics)
    return app


def _documents(app: FastAPI, service: Service, bearer: list[Any]) -> None:
    @app.post("/search", response_model=bodies.SearchAnswer, dependencies=bearer)
    async def search(body: bodies.SearchBody) -> Response:
        """Find the k nearest documents of each question."""
        began = time.perf_counter()
        found = await service.search(Search(tuple(body.queries), body.k, body.where, body.passages))
        why = [
            await service.explain(query, [hit.text for hit in hits]) if body.explain else []
            for query, hits in zip(body.queries, found.hits, strict=True)
        ]
        return await service.aside(partial(_found, body, found, why, began))

    @app.post("/documents", response_model=bodies.DocumentsAnswer, responses=_TAKEN, dependencies=bearer)
    async def add(body: bodies.DocumentsBody) -> bodies.DocumentsAnswer:
        """Add documents, or replace those with the same ids. They are durable, and found, when this returns."""
        did = await service.add(Add(tuple(one.document() for one in body.documents)))
        skipped = [bodies.SkippedDocument(id=one.source, reason=one.reason) for one in did.skipped]
        return bodies.DocumentsAnswer(stored=did.count, skipped=skipped, version=did.version)

    @app.delete(
        "/documents/{id:path}", response_model=bodies.DeleteAnswer, responses=_ABSENT | _TAKEN, dependencies=bearer
    )
    async def delete(id: str) -> bodies.DeleteAnswer:
        """Delete a document."""
        did = await service.delete(id)
        return bodies.DeleteAnswer(deleted=did.count, version=did.version)


def _found(body: bodies.SearchBody, found: Found, why: list[Any], began: float) -> Response:
    results = []
    for query, hits, explained in zip(body.queries, found.hits, why, strict=True):
        shown = [bodies.FoundHit.model_construct(**vars(hit)) for hit in hits]
        for hit, words in zip(shown, explained, strict=False):
            hit.why = [bodies.Word.model_construct(**vars(word)) for word in words]
        results.append(bodies.Result.model_construct(query=query, hits=shown))
    ms = round(1000 * (time.perf_counter() - began), 3)
    return _json(bodies.SearchAnswer.model_construct(results=results, version=found.version, ms=ms))


def _json(answer: BaseModel) -> Response:
    """Return an answer as JSON, in which numbers that JSON does not know are null."""
    return Response(answer.model_dump_json(), media_type="application/json")


def _vectors(app: FastAPI, service: Service, bearer: list[Any]) -> None:
    @app.post("/encode", response_model=bodies.EncodeAnswer, dependencies=bearer)
    async def encode(body: bodies.EncodeBody) -> Response:
        """Encode texts as the collection does: encoder, pooling and transforms of its recipe."""
        did = await service.encode(Encode(tuple(body.texts), body.role))

        def answer() -> Response:
            numbers, dim = as_numbers(did.vectors), did.vectors.shape[1]
            return _json(bodies.EncodeAnswer.model_construct(vectors=numbers, dim=dim, recipe=did.recipe))

        return await service.aside(answer)

    @app.post("/v1/embeddings", response_model=bodies.EmbeddingsAnswer, dependencies=bearer)
    async def embeddings(body: bodies.EmbeddingsBody) -> Response:
        """Encode texts, in the shape of OpenAI's interface."""
        texts = (body.input,) if isinstance(body.input, str) else tuple(body.input)
        did = await service.encode(Encode(texts, body.input_type, body.dimensions))

        def answer() -> Response:
            rows = as_base64(did.vectors) if body.encoding_format == "base64" else as_numbers(did.vectors)
            data = [bodies.Embedding.model_construct(index=n, embedding=row) for n, row in enumerate(rows)]
            usage = bodies.Usage(prompt_tokens=did.tokens, total_tokens=did.tokens)
            return _json(bodies.EmbeddingsAnswer.model_construct(data=data, model=did.recipe, usage=usage))

        return await service.aside(answer)


def _state(app: FastAPI, service: Service, bearer: list[Any]) -> None:
    @app.get("/collection", response_model=bodies.CollectionAnswer, dependencies=bearer)
    async def collection() -> bodies.CollectionAnswer:
        """Say what is served: recipe, counts, bytes, and the attributes that can be filtered by."""
        info = await service.info()
        return bodies.CollectionAnswer(
            name=service.name,
            recipe=info.recipe,
            version=info.version,
            documents=info.documents,
            passages=info.passages,
            dim=info.dim,
            bytes=info.bytes,
            bytes_per_document=info.bytes_per_document,
            attributes=info.attributes,
        )

    @app.get("/healthz", response_model=bodies.Health)
    async def healthz() -> bodies.Health:
        """Answer, as long as the newest version can be read."""
        version, documents = await service.state()
        return bodies.Health(documents=documents, version=version)

    @app.get("/metrics", dependencies=bearer, response_class=Response)
    async def counts() -> Response:
        """Return counts as Prometheus reads them."""
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)
