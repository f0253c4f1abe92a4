"""The Model Context Protocol: a collection as tools that assistants call.

    search      a question in, the nearest passages out
    get         a document by id, or as much of it as is asked for
    info        what the collection is, and what its documents can be filtered by

Every call reads the newest version. What is refused is said in a sentence that the assistant can act on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import BaseModel, Field

from cenote import __version__
from cenote.collection import MissingDocuments
from cenote.errors import CenoteError
from cenote.integrations.metadata import metadata
from cenote.integrations.store import Store

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
except ImportError as error:
    reason = f"the Model Context Protocol is not installed ({error})"
    raise ImportError(f'{reason}; install it with: pip install "cenote[mcp]"') from error

P = ParamSpec("P")
T = TypeVar("T")

MOST_HITS = 100
MOST_CHARACTERS = 20_000
"""Of a document in one answer: some thousands of tokens, which an assistant can read beside all else."""

Question = Annotated[str, Field(description="A question, or words of what is looked for.", pattern=r"\S")]
K = Annotated[int, Field(ge=1, le=MOST_HITS, description="How many.")]
Where = Annotated[
    str | None,
    Field(description="A condition in SQL on id, source, text and the attributes that info names: year > 1990"),
]
Id = Annotated[str, Field(description="The id of a document, as search gives it.")]
Start = Annotated[int, Field(ge=0, description="The first character of the text to return.")]
Characters = Annotated[int, Field(ge=1, le=MOST_CHARACTERS, description="How many characters of it.")]


class Passage(BaseModel):
    """A passage found: characters `start` to `end` of the document `id`; a greater score is nearer."""

    id: str
    score: float
    text: str
    source: str
    start: int
    end: int
    page: int | None
    heading: str | None
    attributes: dict[str, Any]


class Text(BaseModel):
    """Characters `start` to `end` of a document that has `length` of them."""

    id: str
    text: str
    source: str
    start: int
    end: int
    length: int
    attributes: dict[str, Any]


class Described(BaseModel):
    """What a collection is; `attributes` are the columns a condition may name, with their types."""

    recipe: str
    documents: int
    passages: int
    version: int
    attributes: dict[str, str]


def server(path: str | Path) -> MCPServer:
    """Return a server over the collection at `path`, whose model is loaded by the first search.

    Raises ValueError where there is none, CorruptIndex where it is damaged.
    """
    store = Store(path)
    name = Path(path).resolve().name
    count = store.info().documents
    made = MCPServer(
        "cenote", version=__version__, instructions=f"Search {count:,} documents of {name}; get reads on in one."
    )

    @made.tool()
    @_said
    def search(question: Question, k: K = 5, where: Where = None, passages: bool = False) -> list[Passage]:
        """Find the documents nearest to a question, each by its best passage; passages: several of one document."""
        hits = store.search(question, k, where=where, passages=passages)
        fields = Passage.model_fields.keys() - {"attributes"}
        return [Passage(**{name: getattr(hit, name) for name in fields}, attributes=_attributes(hit)) for hit in hits]

    @made.tool()
    @_said
    def get(id: Id, start: Start = 0, characters: Characters = MOST_CHARACTERS) -> Text:
        """Read a document, or a part of it where it is long."""
        found = store.get([id])
        if not found:
            raise MissingDocuments([id])
        text = found[0].text[start : start + characters]
        return Text(
            id=id,
            text=text,
            source=found[0].source,
            start=min(start, len(found[0].text)),
            end=min(start, len(found[0].text)) + len(text),
            length=len(found[0].text),
            attributes=_attributes(found[0]),
        )

    @made.tool()
    @_said
    def info() -> Described:
        """Say how many documents there are, how they are searched, and what they can be filtered by."""
        found = store.info()
        return Described(**{name: getattr(found, name) for name in Described.model_fields})

    return made


def _attributes(found: Any) -> dict[str, Any]:
    return {name: value for name, value in metadata(found).items() if name != "source"}


def _said(tool: Callable[P, T]) -> Callable[P, T]:
    """Let the assistant read what was refused; other errors stay in the log."""

    @wraps(tool)
    def run(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return tool(*arguments, **options)
        except (ValueError, TypeError, CenoteError) as error:
            raise ToolError(str(error)) from error

    return run
