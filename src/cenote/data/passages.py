"""Passages: at most n tokens of the encoder that follows, cut on sentence borders.

    passage = the longest run of sentences whose tokens, the encoder's specials and document prompt are at most n

The last passage of a document holds what is left, one word perhaps. To share the last two evenly changed nDCG@10 on
cranfield by +0.005, -0.005 and -0.008 (wordllama, 48, 64 and 128 tokens) and +0.009 (minilm, 128), each within chance,
so it is not done.
A sentence longer than n is cut between words, a word longer than that between tokens. A text that is cut is not always
tokenised as it was inside the whole (a word piece becomes a word), so what is near the limit is counted again, alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cenote.arrays import Int64
from cenote.data.base import Chunker, Document, Span, TokenSpans
from cenote.data.borders import sentence_ends

_TOGETHER = 2**22
"""Characters that are tokenised in one call."""
_SLACK = 2
"""Tokens that a passage cut between words may have more alone than in its text."""


class Passages(Chunker):
    """Cuts documents into passages of at most `tokens` tokens.

    Raises ValueError for less than one token, and when bound to an encoder whose window is smaller.
    """

    needs_tokens = True

    def __init__(self, tokens: int) -> None:
        if tokens < 1:
            raise ValueError(f"tokens must be at least 1, not {tokens}")
        self.tokens = tokens
        self._token_spans: TokenSpans | None = None
        self._budget = 0

    def bind(self, token_spans: TokenSpans, window: int | None, overhead: int) -> None:
        """Say how tokens are counted; see `Chunker.bind`."""
        if window is not None and self.tokens > window:
            raise ValueError(f"passages of {self.tokens} tokens are longer than the encoder's window of {window}")
        if self.tokens <= overhead:
            what = f"{overhead} are the encoder's special tokens and prompt"
            raise ValueError(f"passages of {self.tokens} tokens leave no room for text: {what}")
        self._token_spans, self._budget = token_spans, self.tokens - overhead

    def split(self, document: Document) -> list[Span]:
        """Return the passages of one document."""
        return self.split_many([document])[0]

    def split_many(self, documents: Sequence[Document]) -> list[list[Span]]:
        """Return the passages of many documents, tokenised together."""
        if self._token_spans is None:
            raise ValueError("passages count tokens of an encoder; bind one first")
        out: list[list[Span]] = []
        for some in _together([document.text for document in documents]):
            out += self._split_texts(some)
        return out

    def _split_texts(self, texts: list[str]) -> list[list[Span]]:
        assert self._token_spans is not None
        done: list[list[Span]] = [[] for _ in texts]
        pending = [(i, Span(0, len(text))) for i, text in enumerate(texts)]
        while pending:
            # first whole texts; then, alone, the pieces of which it is not sure that they fit
            tokens = self._token_spans([texts[i][span.start : span.end] for i, span in pending])
            again: list[tuple[int, Span]] = []
            for (i, span), counted in zip(pending, tokens, strict=True):
                piece = texts[i][span.start : span.end]
                for start, end, sure in self._cut(piece, counted):
                    found = Span(span.start + start, span.start + end)
                    # what was not cut any further cannot be: one character of more tokens than there is room for
                    if sure or found == span:
                        done[i].append(found)
                    else:
                        again.append((i, found))
            pending = again
        return [sorted(spans, key=lambda span: span.start) or [Span(0, 0)] for spans in done]

    def _cut(self, text: str, tokens: Int64) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, whether it fits for sure) of every passage of a text."""
        if len(tokens) <= self._budget:
            yield from _stripped(text, 0, len(text), True)
            return
        starts = tokens[:, 0]
        borders = sentence_ends(text)
        counts = np.searchsorted(starts, borders)  # tokens before each border
        at = 0
        while at < len(text):
            first = int(np.searchsorted(starts, at))
            fits = int(np.searchsorted(counts, first + self._budget, side="right")) - 1
            if fits >= 0 and borders[fits] > at:
                end, between = int(borders[fits]), True
            else:
                end, between = _inside(text, starts, at, first + self._budget)
            held = int(np.searchsorted(starts, end)) - first
            yield from _stripped(text, at, end, between and held + _SLACK <= self._budget)
            at = end


def _inside(text: str, starts: Int64, at: int, last: int) -> tuple[int, bool]:
    """Where to cut a sentence that does not fit: before the token `last`, at white space where there is some."""
    # several tokens may share a character; the cut lies behind it
    token = max(last, int(np.searchsorted(starts, at, side="right")))
    end = int(starts[token]) if token < len(starts) else len(text)
    for cut in range(end, at, -1):
        if text[cut - 1].isspace():
            return (cut, True) if text[at:cut].strip() else (end, False)
    return end, False


def _stripped(text: str, start: int, end: int, sure: bool) -> Iterator[tuple[int, int, bool]]:
    """The span without the white space around it; nothing where that is all there is."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    if left < len(piece):
        yield start + left, start + len(piece.rstrip()), sure


def _together(texts: Sequence[str]) -> Iterator[list[str]]:
    held, size = list[str](), 0
    for text in texts:
        if held and size + len(text) > _TOGETHER:
            yield held
            held, size = [], 0
        held.append(text)
        size += len(text)
    if held:
        yield held
