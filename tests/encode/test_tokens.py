"""Tokenizers hold what they were given, and nothing of the texts they have read."""

import ctypes
import gc
import random

import pytest
from tokenizers import Tokenizer as Fast
from tokenizers.models import BPE
from tokenizers.normalizers import Replace
from tokenizers.pre_tokenizers import PreTokenizer, Split

from cenote.encode.tokens import Tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LENGTH = 200
"""Characters of a text: the library's cache of pieces takes none that is longer than 256."""


class Allocated(ctypes.Structure):
    """What glibc tells of its heap."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "free", "fast", "maps", "mapped", "_", "small", "used", "unused", "top")
    ]


def held() -> int:
    """Return the bytes that the process has from malloc and has not given back."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Allocated
    gc.collect()
    found = ask()
    return int(found.used + found.mapped)


def letters(cut: PreTokenizer | None = None, spaces: str = " ") -> Fast:
    """Return a tokenizer of single letters."""
    fast = Fast(BPE({letter: n for n, letter in enumerate([*LETTERS, " ", "_"])}, []))
    fast.normalizer = Replace(" ", spaces)
    if cut is not None:
        fast.pre_tokenizer = cut
    return fast


def texts(count: int) -> list[str]:
    chance = random.Random(0)
    return ["".join(chance.choices(LETTERS + " ", k=LENGTH)) for _ in range(count)]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the heap is asked through glibc")
@pytest.mark.parametrize(
    ("cut", "spaces"),
    [(None, " "), (Split(" ", "merged_with_previous"), "_")],
    ids=["nothing", "spaces there are none of"],
)
def test_a_tokenizer_that_does_not_cut_at_spaces_keeps_no_texts(cut: PreTokenizer | None, spaces: str) -> None:
    ours, read = Tokenizer(letters(cut, spaces), specials=False), texts(1000)
    ours.lengths(read[:100])
    before = held()
    for start in range(0, len(read), 100):
        ours.lengths(read[start : start + 100])
    # what is kept of a text is at least its letters
    assert held() - before < LENGTH * len(read)


def test_forgetting_changes_no_token() -> None:
    ours, remembers, read = Tokenizer(letters(), specials=False), letters(), texts(50) * 2
    for one, other in zip(ours.encode(read), remembers.encode_batch(read), strict=True):
        assert one.ids.tolist() == other.ids
        assert [tuple(span) for span in one.spans.tolist()] == other.offsets
