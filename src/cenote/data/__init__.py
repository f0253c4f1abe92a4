"""Documents in: readers of files and tables, and chunkers that cut them into passages."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cenote.data.base import Chunker, Document, Skipped, Span
    from cenote.data.passages import Passages
    from cenote.data.reading import read
    from cenote.data.sections import Sections
    from cenote.data.sentences import Sentences

_HOMES = {
    "Chunker": "base",
    "Document": "base",
    "Passages": "passages",
    "Sections": "sections",
    "Sentences": "sentences",
    "Skipped": "base",
    "Span": "base",
    "read": "reading",
}
__all__ = ["Chunker", "Document", "Passages", "Sections", "Sentences", "Skipped", "Span", "read"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
