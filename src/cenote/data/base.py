"""Documents and passages, and the protocol of a chunker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cenote.arrays import Int64


@dataclass(frozen=True)
class Document:
    """What the user has: an id of theirs, a text, and where it came from.

    id: unique in a collection. text: the whole text, unicode. source: path or name it was read from.
    pages: (first character, page number from 1), ascending; empty where there are no pages.
    headings: (first character, level from 1, title), ascending.
    attributes: the user's columns: str, int, float, bool, None (lists of one of these are kept as they are).
    """

    id: str
    text: str
    source: str = ""
    pages: tuple[tuple[int, int], ...] = ()
    headings: tuple[tuple[int, int, str], ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """Something in a source that could not be made a document, and why, in one sentence."""

    source: str
    reason: str
    kind: str = "unreadable"


TokenSpans: TypeAlias = Callable[[list[str]], list[Int64]]
"""texts -> for each, int64 (n, 2): the half-open character span of every token, specials and prompts left out."""


@dataclass(frozen=True)
class Span:
    """A passage of a document: half-open characters of its text."""

    start: int
    end: int


class Chunker(ABC):
    """documents -> passages: in the order of the text, never overlapping; white space between may be left out."""

    needs_tokens: bool = False

    def bind(self, token_spans: TokenSpans, window: int | None, overhead: int) -> None:
        """Tell a chunker that counts tokens how the encoder that follows counts them.

        window: most tokens the encoder reads, None without a limit. overhead: its special tokens and document prompt,
        which count. Raises ValueError where the chunker asks for more than the window, or for less than one token
        beside the overhead. A chunker that `needs_tokens` must be bound before it splits.
        """

    @abstractmethod
    def split(self, document: Document) -> list[Span]:
        """Return the passages of one document, at least one (an empty text gives one empty span)."""

    def split_many(self, documents: Sequence[Document]) -> list[list[Span]]:
        """Return the passages of many documents; where tokens are counted, they are counted together."""
        return [self.split(document) for document in documents]


def page_at(document: Document, position: int) -> int | None:
    """Return the page that holds a character, None where the document has no pages."""
    found = None
    for first, page in document.pages:
        if first > position:
            break
        found = page
    return found


def heading_at(document: Document, position: int) -> str | None:
    """Return the title of the nearest heading at or before a character, None where there is none."""
    found = None
    for first, _, title in document.headings:
        if first > position:
            break
        found = title
    return found
