"""Sections: one passage a heading, the heading included; one a page where there are pages and no headings."""

from __future__ import annotations

from cenote.data.base import Chunker, Document, Span


class Sections(Chunker):
    """Cuts documents at their headings.

    What stands before the first heading is a section; a heading with nothing under it joins the next.
    """

    def split(self, document: Document) -> list[Span]:
        """Return the sections of one document: the whole where it has neither headings nor pages."""
        text = document.text
        marks = [(first, title) for first, _, title in document.headings] or [
            (first, "") for first, _ in document.pages
        ]
        starts = sorted({0, *(first for first, _ in marks if first < len(text))})
        titles = dict(marks)
        spans: list[Span] = []
        begin: int | None = None
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            body = text[start:end].strip().lstrip("# ")
            begin = start if begin is None else begin
            if body and body != titles.get(start, "").strip():
                spans.append(Span(begin, end))
                begin = None
        if begin is not None:
            # headings at the end with nothing under them belong to what is before
            spans = [*spans[:-1], Span(spans[-1].start if spans else 0, len(text))]
        return [_stripped(text, span) for span in spans]


def _stripped(text: str, span: Span) -> Span:
    piece = text[span.start : span.end]
    start = span.start + len(piece) - len(piece.lstrip())
    return Span(start, span.start + len(piece.rstrip())) if piece.strip() else Span(span.start, span.start)
