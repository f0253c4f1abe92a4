"""What every chunker promises of any text: passages in order, none overlapping, nothing but white space left out."""

import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.arrays import Int64
from cenote.data.base import Chunker, Document, Span
from cenote.data.borders import sentence_ends
from cenote.data.passages import Passages
from cenote.data.sections import Sections
from cenote.data.sentences import Sentences

_PIECES = [
    *["word ", "Word ", "a", "I ", "e.g. ", "Dr. ", "No. 5 ", "3.14 ", "http://a.b/c.d?e=f ", "J. R. ", "et al. "],
    *[". ", "! ", "? ", "… ", "...", '." ', ".) ", "。", "！？", "」", " ", "\n", "\n\n", "\t", "\r\n", "\u00a0"],
    *["# ", "## Title\n", "- item\n", "1. ", "中文", "😀", "é", "\u200b", "\x00", "ab" * 40, ",", "\u2028"],
]
TEXTS = st.one_of(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join), st.text(max_size=200))
_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")


def word_pieces(texts: list[str]) -> list[Int64]:
    """Words in pieces of four characters: a tokenizer that counts a text alone as it counts it inside another."""
    spans = [
        [(i, min(i + 4, word.end())) for word in _WORD.finditer(text) for i in range(word.start(), word.end(), 4)]
        for text in texts
    ]
    return [np.array(each, np.int64).reshape(-1, 2) for each in spans]


def count(text: str) -> int:
    return len(word_pieces([text])[0])


def passages(tokens: int, overhead: int = 0) -> Passages:
    chunker = Passages(tokens)
    chunker.bind(word_pieces, None, overhead)
    return chunker


def check_cover(text: str, spans: list[Span]) -> None:
    assert spans
    at = 0
    for span in spans:
        assert at <= span.start <= span.end <= len(text)
        assert not text[at : span.start].strip()
        at = span.end
    assert not text[at:].strip()


@given(TEXTS, st.integers(1, 30))
@settings(deadline=None)
def test_passages_cover_all_that_is_no_white_space_in_order(text: str, tokens: int) -> None:
    spans = passages(tokens).split(Document("a", text))
    check_cover(text, spans)
    assert all(text[s.start : s.end] == text[s.start : s.end].strip() for s in spans)


@given(TEXTS, st.integers(1, 5))
@settings(deadline=None)
def test_sentences_cover_all_that_is_no_white_space_in_order(text: str, n: int) -> None:
    check_cover(text, Sentences(n).split(Document("a", text)))


@given(TEXTS, st.lists(st.integers(0, 250)), st.lists(st.integers(0, 250)))
@settings(deadline=None)
def test_sections_cover_all_that_is_no_white_space_in_order(text: str, headings: list[int], pages: list[int]) -> None:
    heads = tuple((at, 1, text[at : at + 3]) for at in sorted(headings) if at <= len(text))
    document = Document("a", text, headings=heads, pages=tuple((at, i) for i, at in enumerate(sorted(pages), 1)))
    check_cover(text, Sections().split(document))


@given(TEXTS)
@settings(deadline=None)
def test_sentence_ends_rise_to_the_end_of_the_text(text: str) -> None:
    ends = sentence_ends(text)
    assert ends[-1] == len(text)
    assert (np.diff(ends) > 0).all()
    assert all(text[end - 1 : end].isspace() or text[end - 1 : end] in "。！？”’」』）" for end in ends[:-1].tolist())


@given(TEXTS, st.integers(2, 30), st.integers(0, 1))
@settings(deadline=None)
def test_passages_hold_no_more_tokens_than_asked(text: str, tokens: int, overhead: int) -> None:
    for span in passages(tokens, overhead).split(Document("a", text)):
        assert count(text[span.start : span.end]) + overhead <= tokens


@given(TEXTS, st.integers(1, 30))
@settings(deadline=None)
def test_a_passage_ends_only_where_the_next_sentence_would_not_fit(text: str, tokens: int) -> None:
    spans = passages(tokens).split(Document("a", text))
    ends = sentence_ends(text)
    for one, following in pairwise(spans):
        next_end = int(ends[np.searchsorted(ends, following.start, side="right")])
        assert count(text[one.start : next_end]) > tokens


@given(st.lists(st.sampled_from(["word ", "a ", "Four ", "end. ", "\n", "\n\n", ", "]), max_size=80).map("".join))
@settings(deadline=None)
def test_a_word_that_fits_is_never_cut(text: str) -> None:
    for span in passages(3).split(Document("a", text)):
        assert span.end == len(text) or text[span.end].isspace() or not text[span.end - 1].isalnum()


@given(st.lists(TEXTS, max_size=8), st.integers(1, 30))
@settings(deadline=None)
def test_documents_are_cut_alike_together_and_alone(texts: list[str], tokens: int) -> None:
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    for chunker in (passages(tokens), Sentences(2), Sections()):
        assert chunker.split_many(documents) == [chunker.split(document) for document in documents]


@given(TEXTS, st.integers(1, 4))
@settings(deadline=None)
def test_n_sentences_are_the_sentences_joined_by_n(text: str, n: int) -> None:
    document = Document("a", text)
    ones = Sentences(1).split(document)
    joined = [Span(ones[i].start, ones[min(i + n, len(ones)) - 1].end) for i in range(0, len(ones), n)]
    assert Sentences(n).split(document) == joined


@pytest.mark.parametrize("text", ["", " ", "\n\n \t\n", "\u00a0" * 9])
@pytest.mark.parametrize("make", [lambda: passages(5), Sections, Sentences])
def test_a_text_of_nothing_gives_one_span_of_nothing(text: str, make: Callable[[], Chunker]) -> None:
    (span,) = make().split(Document("a", text))
    assert not text[span.start : span.end].strip()


_SIZE = 200_000


@pytest.mark.parametrize(
    "unit", ["a", ".", ". ", "A.\n\n", '."', ".)", "\n", "\n ", "\n# ", "\n- a", "。", "…", "e.g. ", "1.", " ", "😀"]
)
def test_long_texts_of_one_kind_are_covered_too(unit: str) -> None:
    text = unit * (_SIZE // len(unit))
    document = Document("a", text)
    for chunker in (passages(64), Sentences(1), Sections()):
        check_cover(text, chunker.split(document))


def test_a_megabyte_of_dots_without_a_space_is_one_sentence() -> None:
    text = "." * 2**20
    assert sentence_ends(text).tolist() == [len(text)]
    assert len(passages(64).split(Document("a", text))) == 2**20 // 64
