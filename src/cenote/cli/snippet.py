"""The place of a passage that a question is about: where most of its words stand close together, the rare ones first.

    score of a window = sum of 1 / (how often the word stands in the passage)   over the question's words in it

Words are compared without the endings of English; where none is found the passage is shown from its start.
"""

from __future__ import annotations

import re
from collections import Counter

LENGTH = 200
"""Characters of a snippet: two or three lines of a terminal."""
_WORD = re.compile(r"\w+")
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|e)$")
_SMALL = frozenset(
    [
        *("a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how", "i", "in", "is"),
        *("it", "of", "on", "or", "that", "the", "this", "to", "was", "were", "what", "when", "where", "which", "who"),
        *("why", "will", "with", "you"),
    ]
)
"""Words of questions that say nothing of where the answer is; they count where a question has no others."""


def snippet(text: str, question: str, length: int = LENGTH) -> str:
    """Return about `length` characters of a text on one line, with … where something is left out."""
    # a document may hold anything, and a terminal obeys some of it
    plain = "".join(c if c.isprintable() else " " for c in text)
    start = 0 if len(plain) <= length else _start(text, plain, question, length)
    end = min(len(plain), start + length)
    if end < len(plain) and (behind := plain.rfind(" ", start + length // 2, end + 1)) > 0:
        end = behind
    shown = " ".join(plain[start:end].split())
    return f"{'… ' if plain[:start].strip() else ''}{shown}{' …' if plain[end:].strip() else ''}"


def emphasised(line: str, question: str, before: str, behind: str) -> str:
    """Return a line with marks around the words that a question asks for."""
    asked = _asked(question)
    return _WORD.sub(lambda word: f"{before}{word[0]}{behind}" if _stem(word[0]) in asked else word[0], line)


def _start(text: str, plain: str, question: str, length: int) -> int:
    """Where a snippet begins: at the sentence of the best window's first word, or shortly before this."""
    from cenote.data.borders import sentence_ends

    asked = _asked(question)
    found = [(m.start(), m.end(), _stem(m[0])) for m in _WORD.finditer(plain)]
    found = [one for one in found if one[2] in asked]
    if not found:
        return 0
    often = Counter(stem for _, _, stem in found)
    best, (first, last) = 0.0, found[0][:2]
    for n, (begin, _, _) in enumerate(found):
        held: dict[str, int] = {}
        for at in range(n, len(found)):
            _, end, stem = found[at]
            if end > begin + 3 * length // 4:
                break
            held.setdefault(stem, end)
        score = sum(1 / often[stem] for stem in held)
        if score > best:
            best, first, last = score, begin, max(held.values())
    sentences: list[int] = [0, *sentence_ends(text).tolist()]
    sentence = max(border for border in sentences if border <= first)
    if last <= sentence + length:
        return sentence
    room = max(first - (length - (last - first)) // 2, 0)
    return plain.find(" ", room, first) + 1 or first


def _asked(question: str) -> frozenset[str]:
    words = [word.casefold() for word in _WORD.findall(question)]
    return frozenset(map(_stem, [word for word in words if word not in _SMALL] or words))


def _stem(word: str) -> str:
    return _ENDING.sub("", word.casefold())
