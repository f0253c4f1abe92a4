"""A question and the documents that answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question with its judgements: document -> grade, 0 or less where the document was judged not to answer."""

    id: str
    text: str
    grades: Mapping[str, int]

    @property
    def answered(self) -> bool:
        """Whether some document was judged to answer."""
        return any(grade > 0 for grade in self.grades.values())
