"""Where sentences end: rules on marks and line breaks, in time linear in the text.

A sentence ends at . ! ? … (and 。 ！ ？, which need no space behind), with the quotes and brackets that close there,
where white space and something that can begin a sentence follow; and at an empty line, a heading or a list item. It
does not end after an abbreviation, an initial, or before a small letter.
"""

from __future__ import annotations

import re

import numpy as np

from cenote.arrays import Int64

_ABBREVIATIONS = frozenset(
    [
        "e.g",
        "i.e",
        "etc",
        "cf",
        "vs",
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "fig",
        "figs",
        "eq",
        "eqs",
        "nos",
        "vol",
        "vols",
        "pp",
        "ed",
        "eds",
        "al",
        "approx",
        "resp",
        "sec",
        "ch",
        "ref",
        "refs",
        "inc",
        "ltd",
        "co",
        "corp",
        "dept",
        "est",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "u.s",
        "u.k",
        "ph.d",
        "b.c",
        "a.d",
        "bzw",
        "z.b",
        "d.h",
        "usw",
    ]
)
_END = re.compile(
    r"""(?<![.!?…])[.!?…]++["'”’)\]»]*+(?=\s)"""  # a mark is looked at once, where its run begins
    r"|[。！？]++[”’」』）]*+"
    r"|\n(?=[^\S\n]*\n)"
    r"|\n(?=[^\S\n]*(?:[-*+•]|\d{1,3}[.)]|\#{1,6})[^\S\n])"
)
_WORD = re.compile(r"[\w.]+$")
_LONGEST_WORD = 16
_BEHIND = re.compile(r"\s*")


def sentence_ends(text: str) -> Int64:
    """Return int64 (sentences): where each sentence ends, white space behind it included; the last is len(text)."""
    ends, at = list[int](), 0
    for match in _END.finditer(text):
        # what follows an end is white space up to the next sentence, and belongs to the one before
        if match.end() > at and _is_end(text, match) and (behind := _BEHIND.match(text, match.end())) is not None:
            at = behind.end()
            ends.append(at)
    return np.unique(np.array([*(end for end in ends if end < len(text)), len(text)], np.int64))


def _is_end(text: str, match: re.Match[str]) -> bool:
    mark = match[0][0]
    if mark in "\n。！？":
        return True
    following = _first_behind(text, match.end())
    if mark in "!?":
        return True
    if following.islower():
        return False
    if mark == "…" or match[0].startswith(".."):
        return True
    before = _WORD.search(text[max(0, match.start() - _LONGEST_WORD) : match.start()])
    word = before[0] if before else ""
    if word.lower() == "no":  # a word of its own, unless it counts something
        return not following.isdigit()
    is_initial = len(word) == 1 and word.isupper()
    return not (is_initial or word.lower().strip(".") in _ABBREVIATIONS)


def _first_behind(text: str, at: int) -> str:
    """The first character behind `at` that is no white space, looked for in a few places only."""
    return text[at : at + 64].lstrip()[:1]
