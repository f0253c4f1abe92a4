"""What requests and answers hold, as the OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cenote.data.base import Document
from cenote.serve import conditions, limits


class Asked(BaseModel):
    """A body as it must be: nothing else in it, no type turned into another."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


Query: TypeAlias = Annotated[str, Field(min_length=1, max_length=limits.QUERY_CHARACTERS, pattern=r"\S")]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=limits.TEXT_CHARACTERS)]
Where: TypeAlias = Annotated[
    str,
    Field(min_length=1, max_length=limits.WHERE_CHARACTERS, pattern=r"\S", examples=["year > 1960"]),
    AfterValidator(conditions.checked),
]
# a column whose name holds the mark that quotes it could not be read again
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARACTERS, pattern=r"^[^`]*$")]
Value: TypeAlias = bool | int | float | str | None
Attribute: TypeAlias = Value | Annotated[list[Value], Field(max_length=limits.DOCUMENTS)]


class SearchBody(Asked):
    """Questions; `where` is a condition in SQL on id, source, text and the attributes."""

    queries: Annotated[list[Query], Field(min_length=1, max_length=limits.QUERIES)]
    k: Annotated[int, Field(ge=1, le=limits.HITS)] = 10
    where: Where | None = None
    passages: Annotated[bool, Field(description="The k nearest passages, several of a document included.")] = False
    explain: Annotated[bool, Field(description="Say for each hit which words carried its score.")] = False

    @model_validator(mode="after")
    def _few_hits(self) -> SearchBody:
        hits, asked = self.k * len(self.queries), f"this asks for {len(self.queries)} queries of k={self.k}"
        if hits > limits.ALL_HITS:
            raise ValueError(f"a request takes at most {limits.ALL_HITS:,} hits, and {asked}")
        if self.explain and hits > limits.EXPLAINED:
            raise ValueError(f"explain takes at most {limits.EXPLAINED} hits a request, and {asked}")
        return self


class Word(BaseModel):
    """A word of a hit's text: characters `start` to `end`, and how much the score would lose without it."""

    start: int
    end: int
    weight: float


class FoundHit(BaseModel):
    """A document by its best passage: see `cenote.collection.Hit`."""

    id: str
    score: float
    text: str
    source: str
    start: int
    end: int
    page: int | None = None
    heading: str | None = None
    attributes: dict[str, Any] = {}
    scores: dict[str, float] = {}
    why: list[Word] = []


class Result(BaseModel):
    """The hits of one question, best first."""

    query: str
    hits: list[FoundHit]


class SearchAnswer(BaseModel):
    """One result a question, in order; the version they are of; milliseconds from the request to here."""

    results: list[Result]
    version: int
    ms: float


class DocumentBody(Asked):
    """A document: an id of yours, its text, and what you want to filter by."""

    id: Annotated[str, Field(min_length=1, max_length=limits.ID_CHARACTERS)]
    text: Annotated[str, Field(max_length=limits.TEXT_CHARACTERS)]
    attributes: Annotated[dict[Name, Attribute], Field(max_length=limits.ATTRIBUTES)] = {}

    def document(self) -> Document:
        """Return it as collections take it. It has no source: that names a file of the machine that reads it."""
        return Document(self.id, self.text, attributes=dict(self.attributes))


class DocumentsBody(Asked):
    """Documents to add; those whose ids are there already are replaced."""

    documents: Annotated[list[DocumentBody], Field(min_length=1, max_length=limits.DOCUMENTS)]

    @model_validator(mode="after")
    def _ids_once(self) -> DocumentsBody:
        seen: set[str] = set()
        for one in self.documents:
            if one.id in seen:
                raise ValueError(f"the id {one.id!r} comes twice; ids must be unique in one request")
            seen.add(one.id)
        return self


class SkippedDocument(BaseModel):
    """A document that could not be stored, and why."""

    id: str
    reason: str


class DocumentsAnswer(BaseModel):
    """How many documents of the request are durable now, and the version that holds them."""

    stored: int
    skipped: list[SkippedDocument]
    version: int


class DeleteAnswer(BaseModel):
    """The version without the document."""

    deleted: int
    version: int


class EncodeBody(Asked):
    """Texts to encode as the collection does: encoder, pooling and transforms of its recipe."""

    texts: Annotated[list[Text], Field(min_length=1, max_length=limits.TEXTS)]
    role: Literal["query", "document"] = "document"


class EncodeAnswer(BaseModel):
    """Row i is the vector of text i."""

    vectors: list[list[float]]
    dim: int
    recipe: str


def _text_only(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], int | list):
        raise ValueError(
            "input holds token numbers, which are another model's; send text (in LangChain: "
            "check_embedding_ctx_length=False)"
        )
    return value


class EmbeddingsBody(BaseModel):
    """The request of the OpenAI shape; `model` says nothing here. input_type is ours, for models with prompts."""

    model_config = ConfigDict(strict=True, extra="ignore")

    input: Annotated[
        Text | Annotated[list[Text], Field(min_length=1, max_length=limits.TEXTS)], BeforeValidator(_text_only)
    ]
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    input_type: Literal["query", "document"] = "document"


class Embedding(BaseModel):
    """A vector: numbers, or the base64 of their little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of all texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """The answer of the OpenAI shape."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class CollectionAnswer(BaseModel):
    """What is served."""

    name: str
    recipe: str
    version: int
    documents: int
    passages: int
    dim: int
    bytes: dict[str, int]
    bytes_per_document: float
    attributes: Annotated[dict[str, str], Field(description="The type of each column that can be filtered by.")]


class Health(BaseModel):
    """The server answers."""

    status: Literal["ok"] = "ok"
    documents: int
    version: int


class Fault(BaseModel):
    """Why a request was refused, in a sentence."""

    message: str
    type: str


class Refusal(BaseModel):
    """The body of every answer but a good one; clients of the OpenAI shape read it too."""

    error: Fault
