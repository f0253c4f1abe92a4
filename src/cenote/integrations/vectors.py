"""Vectors of a recipe, for frameworks that keep vectors themselves: encoder, pooling and transforms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cenote.arrays import Float32
from cenote.collection import open_collection
from cenote.collection.manifest import CURRENT
from cenote.compress.base import Role
from cenote.recipe import Chain


class Vectors:
    """The first leg of a recipe that has a model. What stands behind its transforms, and a chunker, has no part in it.

    recipe: a recipe, or the folder of a collection, whose fitted stages are used. Raises RecipeError for a recipe that
    cannot be read or has no model, ValueError for one with a stage that learns from documents.
    """

    def __init__(self, recipe: str | Path, *, device: str | None = None) -> None:
        self.recipe = str(recipe)
        if (Path(recipe) / CURRENT).is_file():
            with open_collection(recipe, device=device) as opened:
                chain = opened.chain
        else:
            chain = Chain(str(recipe), device=device)
            if chain.needs_fit:
                reason = f'a stage of the recipe "{chain.recipe}" learns from documents'
                raise ValueError(f"{reason}; make a collection with it and name that collection's folder here")
        self._leg = chain.leg

    def documents(self, texts: Sequence[str]) -> Float32:
        """Encode documents: float32 (n, dim)."""
        return self._encoded(texts, "document")

    def queries(self, texts: Sequence[str]) -> Float32:
        """Encode questions: float32 (n, dim)."""
        return self._encoded(texts, "query")

    def _encoded(self, texts: Sequence[str], role: Role) -> Float32:
        for n, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"text {n} must be a string, not {type(text).__name__}")
        return self._leg.vectors(list(texts), role)
