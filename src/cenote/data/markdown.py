"""Markdown: the text as it is, and where its headings are."""

from __future__ import annotations

import re

from cenote.data.parsed import Parsed, decoded

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")


def parse(content: bytes, name: str) -> Parsed:
    """Read a markdown file."""
    text = decoded(content)
    return Parsed(text, headings=headings(text))


def headings(text: str, first: int = 0) -> tuple[tuple[int, int, str], ...]:
    """Return (character, level, title) of every heading outside fenced code, counted from `first`."""
    found: list[tuple[int, int, str]] = []
    fence, at, above = "", 0, ""
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        opened = _FENCE.match(bare)
        if opened is not None and (not fence or (opened[1].startswith(fence) and not bare.strip(" `~"))):
            fence = "" if fence else opened[1]
        elif not fence and (heading := _HEADING.match(bare)) is not None:
            found.append((first + at, len(heading[1]), (heading[2] or "").strip()))
        elif not fence and above.strip() and (line_below := _UNDERLINE.match(bare)) is not None:
            level = 1 if line_below[1][0] == "=" else 2
            found.append((first + at - len(above), level, above.strip()))
        at += len(line)
        above = "" if fence or (found and found[-1][0] == first + at - len(line)) else line
    return tuple(found)
