"""Texts to vectors, as the collection makes them, for clients that keep vectors of their own."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cenote.arrays import Float32
from cenote.collection import Collection
from cenote.compress.base import Role
from cenote.compress.normalize import unit
from cenote.recipe import Chain
from cenote.recipe.dense import DenseLeg


@dataclass(frozen=True)
class Encode:
    """Texts of one role; only the first `dimensions` of their vectors where that is given."""

    texts: tuple[str, ...]
    role: Role
    dimensions: int | None = None


@dataclass(frozen=True)
class Encoded:
    """float32 (n, d), the tokens of all texts, and the recipe that made them."""

    vectors: Float32
    tokens: int
    recipe: str


def encoded(collection: Collection, asked: Encode) -> Encoded:
    """Encode texts: encoder, pooling and transforms of the recipe, or of the first leg of it that has a model.

    Fewer dimensions of cosine models have unit length again. Raises ValueError for more than there are, and where no
    leg has a model.
    """
    chain, texts = collection.chain, list(asked.texts)
    leg = dense(chain)
    vectors = leg.vectors(texts, asked.role)
    if asked.dimensions is not None:
        if asked.dimensions > leg.dim:
            raise ValueError(f"dimensions is {asked.dimensions}, and the vectors of {chain.recipe} have {leg.dim}")
        vectors = vectors[:, : asked.dimensions]
        vectors = unit(vectors) if leg.encoder.similarity == "cosine" else vectors
    return Encoded(vectors, int(leg.encoder.lengths(texts, asked.role).sum()), str(chain.recipe))


def dense(chain: Chain) -> DenseLeg:
    """Return the first leg that has a model.

    Raises ValueError where none has one.
    """
    if not chain.dim:
        raise ValueError(f'the recipe "{chain.recipe}" counts words and has no model; ask a collection that has one')
    return chain.leg


def as_numbers(vectors: Float32) -> list[list[float]]:
    """Return vectors (n, d) as JSON has them."""
    numbers: list[list[float]] = vectors.tolist()
    return numbers


def as_base64(vectors: Float32) -> Sequence[str]:
    """Return the base64 of each row's little-endian float32."""
    return [base64.b64encode(row.astype(np.dtype("<f4")).tobytes()).decode() for row in vectors]
