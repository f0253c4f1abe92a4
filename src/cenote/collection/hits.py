"""What a search returns: documents, each by its best passage."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cenote.collection.snapshot import Found
from cenote.data.base import Document, Span, heading_at, page_at


@dataclass(frozen=True)
class Hit:
    """A document found, by its best passage.

    score: greater is nearer. text: of the passage, characters `start` to `end` of the document. page and heading:
    where the passage begins, None where the document has none. scores: of each leg of the recipe, by its name.
    """

    id: str
    score: float
    text: str
    source: str
    start: int
    end: int
    page: int | None = None
    heading: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)


def hit_of(found: Found, span: Span | None, document: Document, scores: dict[str, float]) -> Hit:
    """Return a passage found, None for the whole document, with what is asked of it."""
    start, end = (0, len(document.text)) if span is None else (span.start, span.end)
    return Hit(
        id=document.id,
        score=found.score,
        text=document.text[start:end],
        source=document.source,
        start=start,
        end=end,
        page=page_at(document, start),
        heading=heading_at(document, start),
        attributes=document.attributes,
        scores=scores,
    )
