"""Recipes: read, typed, multiplied out, and built into chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cenote.recipe.grid import expand, left_out, parse
from cenote.recipe.recipe import Recipe

if TYPE_CHECKING:
    from cenote.recipe.chain import Chain

__all__ = ["Chain", "Recipe", "expand", "left_out", "parse"]


def __getattr__(name: str) -> Any:
    if name == "Chain":
        from cenote.recipe.chain import Chain

        return Chain
    raise AttributeError(name)
