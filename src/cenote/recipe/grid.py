"""Grids: a recipe with choices is many recipes, expanded left to right (the leftmost choice changes slowest)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from cenote import registry
from cenote.errors import RecipeError
from cenote.recipe.grammar import Chain, Choice, Legs, Stage, Step, read
from cenote.recipe.recipe import Recipe, typed

MOST_RECIPES = 10_000
_EVERY = re.compile(r"(\w+)\.\*")


def parse(text: str | Recipe) -> Recipe:
    """Read one recipe.

    Raises RecipeError with the place, also for a grid of more than one.
    """
    if isinstance(text, Recipe):
        return text
    recipes = expand(text)
    if len(recipes) > 1:
        raise RecipeError(f"this is a grid of {len(recipes)} recipes where one is wanted", text, 0, len(text))
    return recipes[0]


def expand(text: str | Recipe, *, train: bool = False) -> list[Recipe]:
    """Return the recipes of a grid, in order; the same recipe written twice comes once.

    train: whether `{pool.*}` stands for poolers that must be trained as well.

    Raises RecipeError with the place, and for more than 10,000 recipes.
    """
    if isinstance(text, Recipe):
        return [text]
    chains = list(itertools.islice(_chains(read(text), text, train), MOST_RECIPES + 1))
    if len(chains) > MOST_RECIPES:
        raise RecipeError(f"this grid holds more than {MOST_RECIPES:,} recipes", text, 0, len(text))
    return list(dict.fromkeys(typed(chain, text) for chain in chains))


def left_out(text: str | Recipe, *, train: bool = False) -> dict[str, list[str]]:
    """Return the words that `{pool.*}` and its like leave out of a grid, by the reason."""
    found: dict[str, list[str]] = {}
    for kind in dict.fromkeys(match[1] for match in _EVERY.finditer(str(text))):
        for row in registry.rows(kind):
            if reason := _unfit(row, train):
                found.setdefault(reason, []).append(row.word)
    return found


def _unfit(row: registry.Row, train: bool) -> str | None:
    if not row.built:
        return "which this version has not"
    if row.trained and not train:
        return "which must be trained first (--train)"
    if row.side:
        return f"which needs {' and '.join(row.side)} beside the tokens"
    if row.kind == "pool" and row.gives != "dense":
        return f"which gives {row.gives}, not one vector"
    if missing := [p.name for p in registry.recipe_parameters(row) if p.default is p.empty]:
        return f"which needs a value for {', '.join(missing)}"
    return None


def _chains(steps: Chain, text: str, train: bool) -> Iterator[Chain]:
    """Every chain without choices; the product is lazy, so that a huge grid is refused before it is held."""
    if not steps:
        yield ()
        return
    for first in _options(steps[0], text, train):
        for rest in _chains(steps[1:], text, train):
            yield first + rest


def _options(step: Step, text: str, train: bool) -> Iterator[Chain]:
    if isinstance(step, Stage):
        yield (step,)
    elif isinstance(step, Legs):
        every = (itertools.islice(_chains(chain, text, train), MOST_RECIPES + 1) for chain in step.chains)
        for legs in itertools.product(*every):
            yield (Legs(legs, step.start, step.end),)
    else:
        for chain in step.chains:
            yield from _chains(_every(chain, step, text, train), text, train)


def _every(chain: Chain, choice: Choice, text: str, train: bool) -> Chain:
    """Replace `pool.*`, alone in an alternative, by a choice of the words it stands for."""
    if len(chain) != 1 or not isinstance(chain[0], Stage) or (match := _EVERY.fullmatch(chain[0].word)) is None:
        return chain
    rows = [row for row in registry.rows(match[1]) if _unfit(row, train) is None]
    if match[1] not in registry.STAGE_KINDS or not rows:
        kinds = ", ".join(f"`{kind}.*`" for kind in registry.STAGE_KINDS)
        raise RecipeError(f"no words of kind `{match[1]}`; known: {kinds}", text, chain[0].start, chain[0].end)
    start, end = chain[0].start, chain[0].end
    return (Choice(tuple((Stage(row.word, start=start, end=end),) for row in rows), choice.start, choice.end),)
