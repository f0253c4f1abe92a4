"""What a search shows of a long passage: the place where the question's words stand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.cli.snippet import LENGTH, emphasised, snippet

FILLER = "The committee of the club met in the evening and spoke of the weather. " * 12
WORDS = st.lists(
    st.sampled_from(["rain", "glass", "of", "the", "pump.", "Gasket", "\n\n", "naïve", "x" * 300]), max_size=150
)


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    assert snippet("A pump.\n\nA\tgasket.", "pump") == "A pump. A gasket."


def test_a_text_without_a_word_of_the_question_is_shown_from_its_start() -> None:
    assert snippet(FILLER, "violin concerto").startswith("The committee of the club")


def test_it_begins_with_the_sentence_that_holds_the_words() -> None:
    found = snippet(f"{FILLER}A spare gasket lies in the shed. {FILLER}", "where is the spare gasket?")
    assert found.startswith("… A spare gasket lies in the shed. The committee")
    assert found.endswith(" …")


def test_words_close_together_count_more_than_the_same_words_apart() -> None:
    text = f"The pump is green. {FILLER}A gasket is a ring. {FILLER}The gasket of the pump leaks. {FILLER}"
    assert snippet(text, "pump gasket").startswith("… The gasket of the pump leaks.")


def test_a_rare_word_counts_more_than_frequent_ones() -> None:
    text = f"{FILLER}{'The pump of the club runs. ' * 9}{FILLER}A gasket of the club. {FILLER}"
    assert "A gasket" in snippet(text, "gasket of the club pump")


def test_a_long_sentence_is_shown_around_the_words() -> None:
    text = "and so on " * 60 + "the gasket leaks " + "and so forth " * 60
    found = snippet(text, "leaking gaskets")
    assert "the gasket leaks" in found
    assert found.startswith("… ")
    assert 40 < found.index("gasket") < LENGTH - 40


def test_words_are_found_in_other_forms_and_small_ones_are_left_alone() -> None:
    line = "Parsing of the dates: a date is parsed, the data is not"
    assert emphasised(line, "how is the date parsed?", "<", ">") == (
        "<Parsing> of the <dates>: a <date> is <parsed>, the data is not"
    )
    assert emphasised("be to", "to be", "<", ">") == "<be> <to>"


@settings(deadline=None)
@given(WORDS, st.lists(st.sampled_from(["rain", "pump", "the", "?", "gaskets"]), max_size=4))
def test_a_snippet_is_a_part_of_the_text_and_no_longer_than_asked(words: list[str], question: list[str]) -> None:
    text = " ".join(words)
    found = snippet(text, " ".join(question)).removeprefix("… ").removesuffix(" …")
    assert len(found) <= LENGTH
    assert found in " ".join(text.split())
