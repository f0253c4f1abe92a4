"""Words: one tokenizer for every engine that matches words."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from cenote.kernels.words import number, words


def test_words_fold_case_and_compatibility_forms() -> None:
    assert words("The CAFÉ, naïve \ufb01ne") == ["the", "café", "naïve", "fine"]
    assert words("STRASSE") == words("straße")


def test_an_apostrophe_inside_a_word_does_not_cut_it() -> None:
    assert words("the user's 'quoted' word") == ["the", "user's", "quoted", "word"]


def test_underscores_and_punctuation_cut() -> None:
    assert words("parse_date(x, 2.5)") == ["parse", "date", "x", "2", "5"]


def test_text_without_spaces_becomes_pairs_of_characters() -> None:
    assert words("東京都") == ["東京", "京都"]
    assert words("水 water") == ["水", "water"]


@given(st.text())
def test_composed_and_decomposed_text_gives_the_same_words(text: str) -> None:
    assert words(unicodedata.normalize("NFC", text)) == words(unicodedata.normalize("NFD", text))


@given(st.text(), st.text())
def test_words_of_two_paragraphs_are_the_words_of_each(one: str, other: str) -> None:
    assert words(f"{one}\n{other}") == words(one) + words(other)


@given(st.text(min_size=1))
def test_numbers_fit_63_bits_and_tell_words_apart(word: str) -> None:
    word = word.encode("utf-8", "ignore").decode()
    assert 0 <= number(word) < 2**63
    assert number(word) != number(word + "x")
