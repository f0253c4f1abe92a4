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

# Han, Hiragana, Katakana and Hangul syllables, with the ideographic extensions
_CJK = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*")
_IS_CJK = re.compile(rf"[{_CJK}]")


def words(text: str) -> list[str]:
    """Return the words of a text in order."""
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    found: list[str] = []
    for run in _RUN.findall(text):
        if len(run) > 1 and _IS_CJK.match(run):
            found.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            found.append(run)
    return found


@lru_cache(maxsize=1 << 18)
def number(word: str) -> int:
    """Return the 63-bit number of a word: two words in 10 million share one with probability 5e-6."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little") >> 1
