"""Where sentences end, where sections begin: rules on text that people write."""

import pytest

from cenote.data.base import Document, Span
from cenote.data.sections import Sections
from cenote.data.sentences import Sentences


def sentences(text: str, n: int = 1) -> list[str]:
    return [text[span.start : span.end] for span in Sentences(n).split(Document("a", text))]


def sections(text: str, *titles: str, pages: tuple[tuple[int, int], ...] = ()) -> list[str]:
    headings = tuple((text.index(title), 1, title.lstrip("# ")) for title in titles)
    spans = Sections().split(Document("a", text, headings=headings, pages=pages))
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    "parts",
    [
        ["It rains.", "We stay."],
        ["Does it rain?", "Yes!", "We stay…", "For long."],
        ["He said “it rains.”", "She left."],
        ['He said "it rains!"', "She left."],
        ["(It rains.)", "We stay."],
        ["It rains [see above.]", "We stay."],
        ["The end.", "42 remain."],
        ["They said no.", "We stay."],
        ["It rains.", "“We stay.”"],
        ["It rains.", "(We stay.)"],
        ["Es regnet.", "Über uns."],
    ],
)
def test_a_mark_a_space_and_a_beginning_end_a_sentence(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == parts


@pytest.mark.parametrize(
    "text",
    [
        "Use a codec, e.g. Float8, i.e. one byte.",
        "See Fig. 3 and Eq. 7 of Dr. Smith.",
        "Smith et al. Proceeded.",
        "By J. R. R. Tolkien.",
        "It is No. 5 of Vol. 2, pp. 7 to 9.",
        "Pi is 3.14 and e is 2.718.",
        "Read http://a.b/c.d?e=f!g and go.",
        "The U.S. Navy flew it.",
        "a line ends. but goes on small.",
        "version 1.2.3 of it.",
        "no mark at all",
        "中文没有空格",
    ],
)
def test_abbreviations_numbers_and_addresses_end_none(text: str) -> None:
    assert sentences(text) == [text]


def test_full_width_marks_need_no_space() -> None:
    assert sentences("今天下雨。我们在家！为什么？「不知道。」好。") == [
        "今天下雨。",
        "我们在家！",
        "为什么？",
        "「不知道。」",
        "好。",
    ]


def test_an_empty_line_ends_a_sentence() -> None:
    assert sentences("no mark here\n\nand small there\n \t\nlast") == ["no mark here", "and small there", "last"]


def test_a_line_break_alone_ends_none() -> None:
    assert sentences("one line\nand its rest\r\nand more") == ["one line\nand its rest\r\nand more"]


def test_list_items_and_headings_begin_anew() -> None:
    text = "intro\n- one\n* two\n3. three\n12) four\n## Title\n• five"
    assert sentences(text) == ["intro", "- one", "* two", "3. three", "12) four", "## Title", "• five"]


def test_sentences_are_joined_by_n_and_the_last_may_be_short() -> None:
    assert sentences("A one. B two. C three. D four. E five.", 2) == ["A one. B two.", "C three. D four.", "E five."]


@pytest.mark.parametrize("n", [0, -1])
def test_less_than_one_sentence_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Sentences(n)


def test_each_heading_begins_a_section_that_holds_it() -> None:
    text = "before\n\n# A\nunder a\n\n# B\nunder b\n"
    assert sections(text, "# A", "# B") == ["before", "# A\nunder a", "# B\nunder b"]


def test_a_heading_with_nothing_under_it_joins_the_next() -> None:
    text = "# A\n\n## B\nunder b\n# C\nunder c"
    assert sections(text, "# A", "## B", "# C") == ["# A\n\n## B\nunder b", "# C\nunder c"]


def test_headings_at_the_end_with_nothing_under_them_join_what_is_before() -> None:
    assert sections("# A\nunder a\n# B\n", "# A", "# B") == ["# A\nunder a\n# B"]


def test_headings_alone_are_one_section() -> None:
    assert sections("# A\n# B", "# A", "# B") == ["# A\n# B"]


def test_without_headings_or_pages_the_whole_is_one_section() -> None:
    assert sections("  all of it. And more.\n") == ["all of it. And more."]


def test_without_headings_each_page_is_a_section() -> None:
    assert sections("first page\fsecond page", pages=((0, 1), (11, 2))) == ["first page", "second page"]


def test_headings_come_before_pages() -> None:
    text = "# A\nunder a, over\nthe page\n# B\nend"
    assert sections(text, "# A", "# B", pages=((0, 1), (20, 2))) == ["# A\nunder a, over\nthe page", "# B\nend"]


def test_an_empty_page_joins_the_next() -> None:
    text = "one\f\fthree"
    assert sections(text, pages=((0, 1), (4, 2), (5, 3))) == ["one", "three"]


def test_a_heading_beyond_the_text_changes_nothing() -> None:
    document = Document("a", "text", headings=((9, 1, "Gone"),))
    assert Sections().split(document) == [Span(0, 4)]
