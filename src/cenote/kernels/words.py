"""Words of a text, for engines that match words: one tokenizer, one numbering, no vocabulary to keep.

A word is a run of Unicode letters, digits and combining marks, case-folded and NFKC-normalised. A run of CJK
characters, which has no spaces, becomes its overlapping pairs of characters (a single one stays itself). A word's
number is 63 bits of its blake2b hash, so that two collections, or two segments of one, number it alike.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from cenote.arrays import Int64

# Han, Hiragana, Katakana and Hangul syllables, with the ideographic extensions
_CJK = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*")
_ASCII_RUN = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_IS_CJK = re.compile(rf"[{_CJK}]")


def words(text: str) -> list[str]:
    """Return the words of a text in order."""
    if text.isascii():
        return _ASCII_RUN.findall(text.lower())
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    found: list[str] = []
    for run in _RUN.findall(text):
        if len(run) > 1 and _IS_CJK.match(run):
            found.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            found.append(run)
    return found


def spans(text: str) -> Int64:
    """Return int64 (n, 2): the characters of each word; of CJK runs, of each character."""
    found: list[tuple[int, int]] = []
    for run in _RUN.finditer(text):
        start, end = run.span()
        found += [(i, i + 1) for i in range(start, end)] if _IS_CJK.match(run[0]) else [(start, end)]
    return np.array(found, np.int64).reshape(-1, 2)


@lru_cache(maxsize=1 << 18)
def number(word: str) -> int:
    """Return the 63-bit number of a word: two words in 10 million share one with probability 5e-6."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little") >> 1
