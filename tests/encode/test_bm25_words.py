"""BM25's payload: the words of a text, by number, and how often each stands there."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.encode.bm25 import BM25
from cenote.kernels.words import number, spans, words


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet="ab cd,é東京都'\n", max_size=30), max_size=8))
def test_counts_are_those_of_the_words(texts: list[str]) -> None:
    counted = BM25().counts(texts)
    assert len(counted) == len(texts)
    for row, text in enumerate(texts):
        part = slice(counted.indptr[row], counted.indptr[row + 1])
        expected = Counter(number(word) for word in words(text))
        assert dict(zip(counted.indices[part].tolist(), counted.values[part].tolist(), strict=True)) == expected
        assert (np.diff(counted.indices[part]) > 0).all()


def test_a_text_counts_alike_whatever_stands_beside_it() -> None:
    texts = ["the cat sat on the mat", "a dog", "the dog on the cat"]
    together = BM25().counts(texts)
    for row, text in enumerate(texts):
        alone = BM25().counts([text])
        part = slice(together.indptr[row], together.indptr[row + 1])
        np.testing.assert_array_equal(alone.indices, together.indices[part])
        np.testing.assert_array_equal(alone.values, together.values[part])


def test_stems_bring_the_forms_of_a_word_together() -> None:
    pytest.importorskip("Stemmer")
    found = BM25(stem="english").counts(["parsing dates", "parse a date", "parsed"])
    assert len(np.intersect1d(found.select(np.array([0])).indices, found.select(np.array([1])).indices)) == 2
    assert found.select(np.array([2])).indices[0] in found.select(np.array([0])).indices


def test_spans_cover_the_words() -> None:
    text = "The user's café, 東京 2.5"
    assert [text[a:b] for a, b in spans(text)] == ["The", "user's", "café", "東", "京", "2", "5"]


@pytest.mark.parametrize("bad", [{"k1": -0.1}, {"k1": float("inf")}, {"k1": float("nan")}, {"b": -0.1}, {"b": 1.1}])
def test_bad_arguments_are_named(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        BM25(**bad)
