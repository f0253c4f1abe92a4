"""Sentences: n sentences a passage, by the rules of `borders`."""

from __future__ import annotations

from cenote.data.base import Chunker, Document, Span
from cenote.data.borders import sentence_ends


class Sentences(Chunker):
    """Cuts documents into passages of n sentences; the last may have fewer.

    Raises ValueError for n < 1.
    """

    def __init__(self, n: int = 1) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        self.n = n

    def split(self, document: Document) -> list[Span]:
        """Return the passages of one document."""
        text = document.text
        first = len(text) - len(text.lstrip())
        ends = [end for end in sentence_ends(text).tolist() if end > first]
        cuts = [*ends[self.n - 1 : -1 : self.n], len(text)]
        spans = []
        for start, end in zip([0, *cuts], cuts, strict=False):
            piece = text[start:end]
            if piece.strip():
                spans.append(Span(start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())))
        return spans or [Span(0, 0)]
