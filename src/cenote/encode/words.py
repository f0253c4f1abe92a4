"""Words between white space as tokens, for the models of sentence-transformers that read words, not word pieces.

A word is looked up as it stands, then without punctuation around it, then in small letters; one that no vocabulary
holds, or that is a stop word, is no token. The look-up is sentence-transformers' own `WhitespaceTokenizer`.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

import numpy as np

from cenote.arrays import Int64
from cenote.encode.tokens import Tokens

_WORD = re.compile(r"\S+")


class Words:
    """What `Tokenizer` is for word pieces, over a `WhitespaceTokenizer`.

    distinct: keep a word's first occurrence only.
    """

    specials = False
    overhead = 0

    def __init__(self, tokenizer: Any, *, distinct: bool = False) -> None:
        self._tokenizer, self._distinct = tokenizer, distinct
        told = [list(tokenizer.word2idx), sorted(tokenizer.stop_words), tokenizer.do_lower_case, distinct]
        self.fingerprint = sha256(json.dumps(told).encode()).hexdigest()

    def encode(self, texts: list[str], window: int | None = None) -> list[Tokens]:
        """Tokenise; words beyond `window` are cut."""
        return [self._tokens(text, window) for text in texts]

    def lengths(self, texts: list[str]) -> Int64:
        """Return int64 (n): the tokens of each text, uncut."""
        return np.array([len(self._found(text)) for text in texts], np.int64)

    def spans(self, texts: list[str]) -> list[Int64]:
        """Return int64 (n, 2) of each text: the characters of every token, uncut."""
        return [one.spans for one in self.encode(texts)]

    def _tokens(self, text: str, window: int | None) -> Tokens:
        found = self._found(text)
        kept = found[:window]
        table = np.array(kept, np.int64).reshape(-1, 3)
        return Tokens(table[:, 0], table[:, 1:], np.zeros(len(kept), np.bool_), len(found) - len(kept))

    def _found(self, text: str) -> list[tuple[int, int, int]]:
        words = _WORD.finditer(text)
        found = [(n, word.start(), word.end()) for word in words for n in self._tokenizer.tokenize(word[0])]
        return (
            list({n: (n, start, end) for n, start, end in reversed(found)}.values())[::-1] if self._distinct else found
        )
