"""Passages of a real encoder hold at most n of its tokens, also when they are read alone."""

import gzip
import json
import os
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.arrays import Int64
from cenote.data.base import Document
from cenote.data.passages import Passages
from cenote.encode import Encoder
from cenote.recipe import Chain

CRANFIELD = Path(os.environ.get("CENOTE_DATA", "")) / "cranfield" / "corpus.jsonl.gz"
needs_cranfield = pytest.mark.skipif(not CRANFIELD.is_file(), reason="cranfield is not under CENOTE_DATA")


@cache
def encoder(model: str) -> Encoder:
    return Encoder(model, dtype="fp32", prompts={"document": "passage: "} if model == "minilm" else None)


def bound(tokens: int, model: str) -> Passages:
    chunker, counts = Passages(tokens), encoder(model)
    chunker.bind(counts.token_spans, counts.max_length, counts.overhead())
    return chunker


def lengths(texts: list[str], model: str) -> Int64:
    """Tokens of each text as the encoder reads it, prompt and specials included."""
    return encoder(model).lengths(texts) if texts else np.zeros(0, np.int64)


@cache
def cranfield() -> list[Document]:
    with gzip.open(CRANFIELD, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Document(row["_id"], f"{row['title']} {row['text']}") for row in rows]


@needs_cranfield
@pytest.mark.parametrize("model", ["minilm", "wordllama"])
@pytest.mark.parametrize("tokens", [16, 64, 256])
def test_passages_of_cranfield_read_alone_hold_no_more_than_asked(model: str, tokens: int) -> None:
    documents = cranfield()
    found = bound(tokens, model).split_many(documents)
    texts = [d.text[s.start : s.end] for d, spans in zip(documents, found, strict=True) for s in spans]
    assert len(texts) >= len(documents)
    assert lengths(texts, model).max() <= tokens


@needs_cranfield
@pytest.mark.parametrize("model", ["minilm", "wordllama"])
def test_passages_of_cranfield_cover_it_in_order(model: str) -> None:
    for document, spans in zip(cranfield(), bound(64, model).split_many(cranfield()), strict=True):
        at = 0
        for span in spans:
            assert at <= span.start <= span.end
            assert not document.text[at : span.start].strip()
            at = span.end
        assert not document.text[at:].strip()


@needs_cranfield
def test_what_a_word_piece_encoder_counts_adds_up_over_passages() -> None:
    chunker, counts = bound(64, "minilm"), encoder("minilm")
    documents = cranfield()[:200]
    for document, spans in zip(documents, chunker.split_many(documents), strict=True):
        (whole,) = counts.token_spans([document.text])
        parts = counts.token_spans([document.text[span.start : span.end] for span in spans])
        assert sum(map(len, parts)) == len(whole)


@needs_cranfield
def test_nothing_of_cranfield_is_cut_behind_passages() -> None:
    read = Encoder("minilm", dtype="fp32", max_length=32)
    chunker = Passages(32)
    chunker.bind(read.token_spans, read.max_length, read.overhead())
    documents = cranfield()[:20]
    found = chunker.split_many(documents)
    read.encode([d.text[s.start : s.end] for d, spans in zip(documents, found, strict=True) for s in spans])
    assert read.report.cut_tokens == 0


_PIECES = [
    *["word ", "aerodynamics ", "naïve ", "xyzzyplugh", "1234567", "a", ".", ". ", "。", "中文", "é", " ", "\n"],
    *["▁", "<s>"],
]
MIXED = st.one_of(st.lists(st.sampled_from(_PIECES), max_size=80).map("".join), st.text(max_size=120))


@given(MIXED, st.integers(8, 40))
@settings(deadline=None)
@pytest.mark.parametrize("model", ["minilm", "wordllama"])
def test_passages_of_any_text_hold_no_more_than_asked(model: str, text: str, tokens: int) -> None:
    spans = bound(tokens, model).split(Document("a", text))
    for span in spans:
        piece = text[span.start : span.end]
        assert len(piece) == 1 or lengths([piece], model)[0] <= tokens


def test_a_character_of_more_tokens_than_there_is_room_for_stands_alone() -> None:
    text = "😀🙃😀"
    spans = bound(2, "wordllama").split(Document("a", text))
    assert [text[span.start : span.end] for span in spans] == list(text)


def test_many_documents_are_tokenised_in_few_calls() -> None:
    calls: list[int] = []

    def counted(texts: list[str]) -> list[Int64]:
        calls.append(len(texts))
        return encoder("wordllama").token_spans(texts)

    chunker = Passages(256)
    chunker.bind(counted, None, 0)
    chunker.split_many([Document(str(i), f"Short text number {i}.") for i in range(500)])
    assert calls == [500]


def test_the_text_of_one_call_is_bounded() -> None:
    sizes: list[int] = []

    def counted(texts: list[str]) -> list[Int64]:
        sizes.append(sum(map(len, texts)))
        return [np.zeros((0, 2), np.int64) for _ in texts]

    chunker = Passages(8)
    chunker.bind(counted, None, 0)
    found = chunker.split_many([Document(str(i), "x" * 2**20) for i in range(9)])
    assert len(found) == 9
    assert max(sizes) <= 2**22


def test_a_page_border_does_not_end_a_passage() -> None:
    text = "It begins here. It goes on over the page and then ends."
    spans = bound(64, "minilm").split(Document("a", text, pages=((0, 1), (20, 2))))
    assert [(span.start, span.end) for span in spans] == [(0, len(text))]


def test_every_passage_takes_as_many_sentences_as_fit_and_the_last_what_is_left() -> None:
    sentences = [f"Number {n}{' and more' * (n * 7 % 5)}. " for n in range(40)] + ["Over."]
    text = "".join(sentences)
    starts = np.cumsum([0, *map(len, sentences)])
    spans = bound(32, "minilm").split(Document("a", text))
    assert all(span.start in starts for span in spans)
    for span, following in pairwise(spans):
        next_sentence = int(starts[np.searchsorted(starts, following.start) + 1])
        held, more = lengths([text[span.start : span.end], text[span.start : next_sentence].rstrip()], "minilm")
        assert held <= 32 < more


def test_the_window_is_the_most_a_passage_may_ask_for() -> None:
    with pytest.raises(ValueError, match=r"300 tokens .* window of 256"):
        bound(300, "minilm")
    bound(256, "minilm")


def test_specials_and_prompt_must_leave_room() -> None:
    overhead = encoder("minilm").overhead()
    with pytest.raises(ValueError, match="no room"):
        bound(overhead, "minilm")
    bound(overhead + 1, "minilm")


@pytest.mark.parametrize("tokens", [0, -5])
def test_less_than_one_token_is_refused(tokens: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Passages(tokens)


def test_passages_must_be_bound_before_they_split() -> None:
    with pytest.raises(ValueError, match="bind"):
        Passages(8).split(Document("a", "text"))


def test_a_recipe_counts_its_prompt_into_the_passages() -> None:
    chain = Chain("passages 16 | minilm", encoder=encoder("minilm"))
    document = Document("a", " ".join(f"Sentence {i} is short." for i in range(40)))
    texts = [document.text[s.start : s.end] for s in chain.passages(document)]
    assert lengths(texts, "minilm").max() <= 16
