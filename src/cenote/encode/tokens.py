"""Tokens of texts: numbers, character spans, and an exact count of what a window cuts off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Int64


@dataclass(frozen=True)
class Tokens:
    """One text: ids int64 (n,), spans int64 (n, 2) in characters of the tokenised text, special bool (n,), cut."""

    ids: Int64
    spans: Int64
    special: NDArray[np.bool_]
    cut: int

    def __len__(self) -> int:
        return len(self.ids)


class Tokenizer:
    """A fast tokenizer, never padding, cutting only where asked and then counting.

    fast: a `tokenizers.Tokenizer`. specials: whether the model's special tokens are added.
    """

    def __init__(self, fast: Any, *, specials: bool = True) -> None:
        self._fast = fast
        self._fast.no_padding()
        self._fast.no_truncation()
        if not _by_words(fast):
            _forget_pieces(fast)
        self.specials = specials
        self.fingerprint = sha256(fast.to_str().encode()).hexdigest()
        self.overhead = len(self._fast.encode("", add_special_tokens=specials).ids)

    @classmethod
    def from_file(cls, path: Path, *, specials: bool = True) -> Tokenizer:
        """Read a `tokenizer.json`."""
        from tokenizers import Tokenizer as Fast

        return cls(Fast.from_file(str(path)), specials=specials)

    def save(self, path: Path, window: int | None, padding: int) -> None:
        """Write a `tokenizer.json` that by itself cuts to a window and fills shorter texts of a batch up behind."""
        written = type(self._fast).from_str(self._fast.to_str())
        if window is not None:
            written.enable_truncation(window)
        written.enable_padding(pad_id=padding, pad_token=written.id_to_token(padding) or "[PAD]")
        written.save(str(path))

    def encode(self, texts: list[str], window: int | None = None) -> list[Tokens]:
        """Tokenise; beyond `window` tokens, specials counted, the text's last tokens are cut and its specials kept."""
        found = self._read(self._fast.encode_batch, texts, self.specials)
        return [_cut(encoding, window) for encoding in found]

    def lengths(self, texts: list[str]) -> Int64:
        """Return int64 (n): the tokens of each text, specials counted, uncut."""
        found = self._read(self._fast.encode_batch_fast, texts, self.specials)
        return np.array([len(encoding.ids) for encoding in found], np.int64)

    def spans(self, texts: list[str]) -> list[Int64]:
        """Return int64 (n, 2) of each text: the characters of every token, without specials and uncut."""
        found = self._read(self._fast.encode_batch, texts, False)
        return [np.array(encoding.offsets, np.int64).reshape(-1, 2) for encoding in found]

    def _read(self, batch: Callable[..., list[Any]], texts: list[str], specials: bool) -> list[Any]:
        try:
            return batch(texts, add_special_tokens=specials)
        except TypeError:
            halves = (text for text in texts if any("\ud800" <= character <= "\udfff" for character in text))
            if (bad := next(halves, None)) is None:
                raise
            reason = f"the text {bad[:40]!r} holds half of a surrogate pair, which is no character"
            raise ValueError(f"{reason}; read it with errors='replace'") from None


def _by_words(fast: Any) -> bool:
    """Whether a tokenizer cuts a text at its spaces before it looks for tokens."""
    text = "a b" if fast.normalizer is None else fast.normalizer.normalize_str("a b")
    return fast.pre_tokenizer is not None and len(fast.pre_tokenizer.pre_tokenize_str(text)) > 1


def _forget_pieces(fast: Any) -> None:
    """Switch off the cache of ten thousand pieces that some models keep.

    One of words fills soon and is asked all the time; one of whole texts grows for hours, by several KiB a text, and
    few come twice.
    """
    if hasattr(fast.model, "_resize_cache"):
        fast.model._resize_cache(0)


def _cut(encoding: Any, window: int | None) -> Tokens:
    ids, spans = np.array(encoding.ids, np.int64), np.array(encoding.offsets, np.int64).reshape(-1, 2)
    special = np.array(encoding.special_tokens_mask, np.bool_)
    cut = 0 if window is None else max(0, len(ids) - window)
    if cut:
        behind = len(special) - len(np.trim_zeros(~special, "b"))
        kept = np.r_[0 : len(ids) - cut - behind, len(ids) - behind : len(ids)]
        ids, spans, special = ids[kept], spans[kept], special[kept]
    spans[special] = -1
    return Tokens(ids, spans, special, cut)
