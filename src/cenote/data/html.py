"""HTML: the text a reader sees, a line a block; h1 to h6 are headings, the title is an attribute."""

from __future__ import annotations

import re
from typing import Any

from cenote.data.parsed import Parsed, decoded
from cenote.errors import Unreadable

_UNSEEN = frozenset(["script", "style", "noscript", "template", "head", "nav", "svg", "iframe", "object"])
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "br",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    ]
)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def parse(content: bytes, name: str) -> Parsed:
    """Read a page."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_text(content))
    title = tree.css_first("head > title")
    writer = _Writer()
    if tree.body is not None:
        _walk(tree.body, writer)
    found = " ".join(title.text().split()) if title is not None else ""
    return Parsed(writer.text(), headings=tuple(writer.headings), attributes={"title": found} if found else {})


def _text(content: bytes) -> str:
    try:
        return decoded(content)
    except Unreadable:
        named = _CHARSET.search(content[:2048])
        if named is None:
            raise
        try:
            return content.decode(named[1].decode("ascii"))
        except (UnicodeDecodeError, LookupError):
            raise Unreadable(f"it is not the {named[1].decode('ascii')} it says it is", "not UTF-8") from None


class _Writer:
    """Joins pieces of text into lines, white space folded as a browser does."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._length = 0
        self.headings: list[tuple[int, int, str]] = []

    def write(self, text: str, *, kept: bool) -> None:
        self._line.append(text if kept else _SPACE.sub(" ", text))

    def end_line(self, level: int = 0, *, kept: bool = False) -> None:
        line = "".join(self._line)
        line = line.strip("\n") if kept else _SPACE.sub(" ", line).strip()
        self._line = []
        if line.strip():
            if level:
                self.headings.append((self._length, level, line))
            self._lines.append(line)
            self._length += len(line) + 1

    def text(self) -> str:
        self.end_line()
        return "\n".join(self._lines)


def _walk(root: Any, writer: _Writer) -> None:
    """Visit every node in order without recursion: pages may nest without end."""
    stack: list[tuple[Any, bool]] = [(root, False)]
    kept = 0
    while stack:
        node, closing = stack.pop()
        tag = node.tag
        if closing:
            level = int(tag[1]) if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit() else 0
            writer.end_line(level, kept=kept > 0)
            kept -= tag == "pre"
            continue
        if tag == "-text":
            writer.write(node.text_content or "", kept=kept > 0)
            continue
        if tag in _UNSEEN:
            continue
        if tag in _BLOCKS:
            writer.end_line(kept=kept > 0)
            kept += tag == "pre"
            stack.append((node, True))
        children = []
        child = node.child
        while child is not None:
            children.append((child, False))
            child = child.next
        stack += reversed(children)
