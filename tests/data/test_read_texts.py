"""Text, markdown, source code, HTML and notebooks: the text that a person would read, and its headings."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cenote.data import Document, Skipped, parsing, read
from cenote.data.html import parse as parse_html
from cenote.data.markdown import headings
from cenote.data.notebook import parse as parse_notebook
from cenote.data.text import parse as parse_text


def only(path: Path) -> Document:
    (found,) = read(path)
    assert isinstance(found, Document), found
    return found


def skipped(path: Path) -> Skipped:
    (found,) = read(path)
    assert isinstance(found, Skipped), found
    return found


def titles(document: Document) -> list[tuple[int, str]]:
    """Level and title of every heading, each checked to begin where it says."""
    for first, _, title in document.headings:
        assert title.split()[0] in document.text[first:].splitlines()[0]
    return [(level, title) for _, level, title in document.headings]


# Bytes.


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff\ufffe")))
def test_text_comes_back_as_it_was_written(text: str) -> None:
    assert parse_text(text.encode(), "a.txt").text == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_with_a_byte_order_mark_is_told_by_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_text("Grüße, 世界", encoding=encoding)
    assert only(tmp_path / "a.txt").text == "Grüße, 世界"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_alike_wherever_they_were_written(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.txt").write_bytes(f"a{end}b{end}".encode())
    assert only(tmp_path / "a.txt").text == "a\nb\n"


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.py", "a.html", "a.ipynb"])
@pytest.mark.parametrize("before", [0, 5, 20_000])
def test_what_is_not_utf_8_is_skipped_and_the_byte_named(tmp_path: Path, name: str, before: int) -> None:
    (tmp_path / name).write_bytes(b"a" * before + b"\xff\xfa b")
    found = skipped(tmp_path / name)
    assert found.kind == "not UTF-8"
    assert f"byte {before}" in found.reason


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.c"])
def test_zero_bytes_are_no_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x7fELF\x01\x00\x00")
    assert skipped(tmp_path / name).kind == "no text"


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.py", "a.html"])
@pytest.mark.parametrize("content", [b"", b" \n\n\t"])
def test_a_file_without_text_is_no_document(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert skipped(tmp_path / name).kind == "empty"


def test_a_packed_file_is_read_by_the_suffix_below(tmp_path: Path) -> None:
    (tmp_path / "a.md.gz").write_bytes(gzip.compress(b"# A\ntext"))
    document = only(tmp_path / "a.md.gz")
    assert (document.id, document.text, titles(document)) == ("a.md.gz", "# A\ntext", [(1, "A")])


@pytest.mark.parametrize("content", [b"", b"no", gzip.compress(b"text " * 100)[:-9]], ids=["empty", "not", "cut"])
def test_what_is_packed_badly_is_skipped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt.gz").write_bytes(content)
    (tmp_path / "b.txt").write_text("b")
    found = list(read(tmp_path))
    assert isinstance(found[1], Document)
    assert isinstance(found[0], Skipped)


# Markdown.


def test_markdown_keeps_its_text_and_knows_its_headings(tmp_path: Path) -> None:
    text = "Before.\n\n# One\ntext\n\n## Two ##\n\n### Three\n"
    (tmp_path / "a.md").write_text(text)
    document = only(tmp_path / "a.md")
    assert document.text == text
    assert titles(document) == [(1, "One"), (2, "Two"), (3, "Three")]
    assert [text[first] for first, _, _ in document.headings] == ["#"] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Title\n=====\n", [(0, 1, "Title")]),
        ("Title\n-----\n", [(0, 2, "Title")]),
        ("# `a` *b*", [(0, 1, "`a` *b*")]),
        ("   # indented", [(0, 1, "indented")]),
        ("###### six", [(0, 6, "six")]),
        ("# C#", [(0, 1, "C#")]),
    ],
)
def test_these_are_headings(text: str, expected: list[tuple[int, int, str]]) -> None:
    assert list(headings(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "#hashtag",
        "####### seven",
        "    # code",
        "```\n# comment\n```",
        "~~~sh\n# comment\n```\n# still\n~~~",
        "````\n```\n# comment\n```\n````",
        "text # no",
        "\n---\n",
        "| a | b |\n|---|---|\n",
    ],
)
def test_these_are_none(text: str) -> None:
    assert headings(text) == ()


def test_headings_follow_a_fence_that_was_closed() -> None:
    assert headings("```\n# a\n```\n# b") == ((12, 1, "b"),)


@given(st.lists(st.tuples(st.integers(1, 6), st.from_regex(r"[a-z]{1,9}( [a-z]{1,9})?", fullmatch=True)), max_size=6))
def test_every_heading_that_was_written_is_found_where_it_is(wanted: list[tuple[int, str]]) -> None:
    text = "".join(f"{'#' * level} {title}\n\nSome text.\n\n" for level, title in wanted)
    found = headings(text)
    assert [(level, title) for _, level, title in found] == wanted
    assert all(text[first:].startswith(f"{'#' * level} {title}\n") for first, level, title in found)


# Source code.


def test_the_classes_and_functions_of_a_module_are_its_headings(tmp_path: Path) -> None:
    text = '"""Module."""\n\nclass A:\n    def inner(self): ...\n\ndef f(): ...\n\nasync def g(): ...\n'
    (tmp_path / "a.py").write_text(text)
    document = only(tmp_path / "a.py")
    assert document.text == text
    assert document.attributes == {"language": "py"}
    assert [(text[first:].split("\n")[0], title) for first, _, title in document.headings] == [
        ("class A:", "A"),
        ("def f(): ...", "f"),
        ("async def g(): ...", "g"),
    ]


def test_code_that_is_broken_is_text_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def broken(:\n  ((\n")
    assert only(tmp_path / "a.py").text == "def broken(:\n  ((\n"


@pytest.mark.parametrize("suffix", ["js", "ts", "c", "h", "cpp", "java", "go", "rs", "rb", "sh", "sql"])
def test_code_is_text_with_its_language(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").write_text("x = 1;\n")
    document = only(tmp_path / f"a.{suffix}")
    assert (document.text, document.headings, document.attributes) == ("x = 1;\n", (), {"language": suffix})


# HTML.


PAGE = """<!doctype html><html><head><title> The
title </title><style>p {color: red}</style><script>var hidden = 1</script></head>
<body><nav><a href="/">Home</a></nav>
<h1>One <em>big</em> heading</h1>
<p>First   paragraph,
folded &amp; <b>bold</b>.</p><p>Second.</p>
<script>document.write("no")</script>
<h2>Two</h2><ul><li>a</li><li>b</li></ul>
<pre>kept
  as it is</pre>
<table><tr><td>1</td><td>2</td></tr></table></body></html>"""


def test_a_page_is_the_text_that_is_seen_a_line_a_block(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    document = only(tmp_path / "a.html")
    assert document.text.split("\n") == [
        "One big heading",
        "First paragraph, folded & bold.",
        "Second.",
        "Two",
        "a",
        "b",
        "kept",
        "  as it is",
        "1",
        "2",
    ]
    assert titles(document) == [(1, "One big heading"), (2, "Two")]
    assert document.attributes == {"title": "The title"}


def test_headings_of_a_page_point_at_their_text() -> None:
    parsed = parse_html(PAGE.encode(), "a.html")
    assert all(parsed.text[first:].startswith(title) for first, _, title in parsed.headings)


def test_words_of_different_blocks_never_run_together() -> None:
    parsed = parse_html(b"<div>one<div>two</div>three<br>four</div><span>fi</span><span>ve</span>", "a.html")
    assert parsed.text == "one\ntwo\nthree\nfour\nfive"


@pytest.mark.parametrize("content", [b"<p>open <b>never closed", b"</p></div>text", b"text", b"<<<>>>", b"<p/><p>&#0;"])
def test_broken_pages_are_read_as_far_as_they_go(content: bytes) -> None:
    assert isinstance(parse_html(content, "a.html").text, str)


def test_a_page_may_name_its_encoding() -> None:
    assert parse_html('<meta charset="latin-1"><p>Grüße'.encode("latin-1"), "a.html").text == "Grüße"


def test_a_page_may_nest_deeper_than_python_recurses() -> None:
    assert parse_html(b"<div>" * 20_000 + b"deep", "a.html").text == "deep"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_page_or_said_to_be_none(content: bytes) -> None:
    from cenote.errors import Unreadable

    try:
        assert isinstance(parse_html(content, "a.html").text, str)
    except Unreadable as error:
        assert error.reason


# Notebooks.


def notebook(*cells: tuple[str, str | list[str]]) -> bytes:
    """Format 4, with an output in every cell of code."""
    made = [
        {"cell_type": kind, "source": source, "metadata": {}}
        | ({"outputs": [{"output_type": "stream", "text": ["PRINTED"]}]} if kind == "code" else {})
        for kind, source in cells
    ]
    return json.dumps({"cells": made, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}).encode()


def test_a_notebook_is_its_cells_without_their_outputs(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(
        notebook(("markdown", ["# Title\n", "words"]), ("code", "# no heading\nx = 1"), ("raw", "RAW"), ("code", ""))
    )
    document = only(tmp_path / "a.ipynb")
    assert document.text == "# Title\nwords\n\n# no heading\nx = 1"
    assert titles(document) == [(1, "Title")]


def test_headings_of_later_cells_are_counted_from_the_beginning_of_the_notebook() -> None:
    parsed = parse_notebook(notebook(("code", "x = 1"), ("markdown", "text\n\n## Later")), "a.ipynb")
    assert [(parsed.text[first:], level, title) for first, level, title in parsed.headings] == [
        ("## Later", 2, "Later")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"3",
        b'{"cells": 3}',
        b'{"cells": ["text"]}',
        b'{"cells": [{"cell_type": "code"}]}',
        b'{"cells": [{"cell_type": "code", "source": [1]}]}',
        b'{"worksheets": []}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_notebook_is_skipped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    assert skipped(tmp_path / "a.ipynb").kind == "unreadable"


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_unpacks_to_more_than_a_document_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(parsing, "MOST", 1000)
    whole, more = b"a" * 1000, b"a" * 1001
    for name, content in (("whole", whole), ("more", more)):
        path = tmp_path / (f"{name}.txt.gz" if packed else f"{name}.txt")
        path.write_bytes(gzip.compress(content) if packed else content)
    more_than, one = read(tmp_path)
    assert isinstance(one, Document)
    assert len(one.text) == 1000
    assert isinstance(more_than, Skipped)
    assert (more_than.kind, "1,000 bytes" in more_than.reason) == ("too large", True)
