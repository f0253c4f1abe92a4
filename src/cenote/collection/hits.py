"""What a search returns: documents, each by its best passage."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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
