"""A recipe as what gives vectors: the system of tasks that have texts but no documents to find.

Vectors are those that a search would compare: pooled, transformed, put into codes and read back, so that what
compression loses is measured here too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cenote.arrays import Float32
from cenote.compress.normalize import unit
from cenote.measure.measuring import MOST_TIMED
from cenote.recipe import Chain, Recipe
from cenote.recipe.dense import DenseLeg

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings
    from cenote.encode.encoder import Encoder

_SECONDS_TIMED = 1.0


class VectorSystem:
    """One dense leg, fitted on `sample` where it learns.

    Raises ValueError for a recipe of words, of several legs, or with a rerank, which has nothing to rank here, and
    RecipeError for one that cannot be built or fitted.
    """

    def __init__(
        self,
        recipe: str | Recipe,
        sample: Sequence[str],
        *,
        cache: Encodings | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        self.chain = Chain(recipe, cache=cache, encoder=encoder)
        leg = next(iter(self.chain.legs.values()))
        if len(self.chain.legs) > 1 or not isinstance(leg, DenseLeg):
            raise ValueError("texts are compared by one vector each; name a recipe of one model, such as minilm | mean")
        if leg.reranks:
            raise ValueError("there is nothing to rank again here; leave the rerank out")
        self._leg: DenseLeg = leg
        self.chain.fit(sample)

    def vectors(self, texts: Sequence[str]) -> Float32:
        """Return float32 (n, dim), of unit length."""
        x = self._leg.vectors(texts, "document")
        return unit(self._leg.codec.decode(self._leg.codec.encode(x), x.shape[1]))

    @property
    def bytes_per_text(self) -> float:
        """What a vector takes as it is stored."""
        return float(self._leg.codec.nbytes(1, self._leg.dim))

    def ms_per_text(self, texts: Sequence[str]) -> float | None:
        """Return the milliseconds of encoding one text, the middle one of as many as a second allows; None of none."""
        if not len(texts):
            return None
        encoder = self._leg.encoder
        took: list[float] = []
        encoder.encode([texts[0]], pool=self._leg.pool)
        for text in texts[:MOST_TIMED]:
            if sum(took) > _SECONDS_TIMED:
                break
            began = time.perf_counter()
            encoder.encode([text], pool=self._leg.pool)
            took.append(time.perf_counter() - began)
        return 1000 * float(np.median(took))
