"""A leg of words: a text as the words it holds, found by inverted lists.

texts --bm25--> counts of words --exact--> index
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cenote import registry
from cenote.arrays import Int64, Sparse
from cenote.compress.base import Role
from cenote.recipe.leg import Leg, Numbered, Progress, Setting

if TYPE_CHECKING:
    from cenote.data.base import TokenSpans
    from cenote.encode.bm25 import BM25
    from cenote.index.base import Index

_CHARACTERS_A_WORD = 6
_BYTES_A_COUNT = 16
"""Of a payload: a word of 8 bytes and a count of 4, with what sorting them takes."""
_BYTES_A_POSTING = 5


class WordsLeg(Leg):
    """Counted words a text. Raises RecipeError for stages that cannot be made, and for a rerank."""

    def __init__(self, stages: Sequence[Numbered], setting: Setting) -> None:
        super().__init__(stages, setting)
        for one in self.of_kind("rerank"):
            raise setting.error("a rerank scores vectors again, and words have none", one.stage)
        self.encoder: BM25 = setting.made(self.of_kind("encoder")[0])
        self._engine = next((setting.made(one) for one in self.of_kind("engine")), None)

    @property
    def dim(self) -> int:
        """0: words have no dimensions."""
        return 0

    def tokens(self) -> tuple[TokenSpans, int | None, int]:
        """Return the spans of words; there is no window."""
        return self.encoder.token_spans, None, 0

    def vectors(self, texts: Sequence[str], role: Role, progress: Progress | None = None) -> Sparse:
        """Count the words of texts, of queries and documents alike."""
        began = time.perf_counter()
        counted = self.encoder.counts(texts)
        if role == "document":
            self.encode_seconds += time.perf_counter() - began
        if progress is not None:
            progress(len(texts))
        return counted

    def build(self, vectors: Sparse) -> Index:
        """Index counted words with BM25's saturation."""
        from cenote.index.sparse import Saturation

        engine = self._engine or registry.find("exact").load().build
        index: Index = engine(vectors, saturation=Saturation(self.encoder.k1, self.encoder.b))
        return index

    def held(self, characters: Int64) -> Int64:
        """Return the bytes of as many words as the characters may be, each another."""
        return characters * _BYTES_A_COUNT // _CHARACTERS_A_WORD

    def expected_bytes(self, passages: int, characters: int) -> int:
        """Return the bytes of one posting for every two words, as a word comes about twice in a passage."""
        return characters // _CHARACTERS_A_WORD // 2 * _BYTES_A_POSTING

    def described_encoder(self) -> dict[str, Any]:
        """Return the reference; words have no weights."""
        return {"reference": self.encoder.reference(), "sha256": None, "dtype": None}

    def config(self, one: Numbered) -> dict[str, Any]:
        """Return what is written down about a stage."""
        return super().config(one) | (self.described_encoder() if one.row.kind == "encoder" else {})

    def _encode(self, texts: Sequence[str]) -> object:
        return self.encoder.counts(texts)
