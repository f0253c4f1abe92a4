"""What a comparison is going to do, said before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cenote.data.base import Document
from cenote.errors import CenoteError
from cenote.measure.sharing import Stored, encodings, passages
from cenote.recipe import Chain, Recipe, expand

SAMPLE = 48
"""Documents that are encoded to learn how fast that is here."""
_SECONDS_A_RECIPE = 2.0
"""Files, fits and searches of a recipe on a small collection."""


@dataclass(frozen=True)
class Plan:
    """recipes: all of them, in order. encodings: passes of an encoder over the texts that they share.

    texts: how many documents, or texts without documents, there are. seconds: roughly, with nothing encoded yet. unit:
    what a text is called. trained: poolers that are trained first.
    """

    recipes: Sequence[str]
    encodings: int
    texts: int
    seconds: float
    unit: str = "document"
    trained: int = 0

    def sentence(self) -> str:
        """Return the plan in a sentence."""
        count = f"{len(self.recipes)} recipe{'s' * (len(self.recipes) != 1)}"
        shared = f"{self.encodings} encoding{'s' * (self.encodings != 1)}"
        texts = f"{self.texts:,} {self.unit}{'s' * (self.texts != 1)}"
        first = f", {self.trained} pooler{'s' * (self.trained != 1)} to be trained first" if self.trained else ""
        return f"{count} from {shared} of {texts}{first}: about {_duration(self.seconds)}."


def recipes_of(recipes: str | Recipe | Iterable[str | Recipe], *, train: bool = False) -> list[Recipe]:
    """Return every recipe of some recipes or grids, in order, each once; see `recipe.expand` for `train`.

    Raises RecipeError with the place of what cannot be read, ValueError when there is none.
    """
    given = [recipes] if isinstance(recipes, str | Recipe) else list(recipes)
    found = list(dict.fromkeys(recipe for text in given for recipe in expand(text, train=train)))
    if not found:
        raise ValueError("recipes is empty; give at least one, such as 'minilm | flat'")
    return found


def plan(collection: Stored, recipes: str | Recipe | Iterable[str | Recipe]) -> Plan:
    """Return what comparing these recipes on the documents of a collection would do, and about how long it takes.

    A few documents are encoded with every encoder. What is in the cache of encodings already makes it shorter.
    Raises RecipeError for what cannot be read.
    """
    wanted = recipes_of(recipes)
    passes = [group[0] for group in encodings(wanted).values()]
    ids = list(collection.ids())
    sample = collection.get(ids[:: -(-len(ids) // SAMPLE)]) if ids else []
    share = len(ids) / max(1, len(sample))
    took = sum(_encode(recipe, sample) for recipe in passes) * share
    return Plan([str(recipe) for recipe in wanted], len(passes), len(ids), took + _SECONDS_A_RECIPE * len(wanted))


def is_collection(source: Any) -> bool:
    """Whether a source is a collection, opened or by its path."""
    return hasattr(source, "reindex") or (isinstance(source, str | Path) and (Path(source) / "CURRENT").is_file())


def _encode(recipe: Recipe, sample: Sequence[Document]) -> float:
    """The seconds that encoding a sample takes; none where the recipe does not build, which `compare` reports."""
    try:
        chain = Chain(recipe)
        texts = passages(chain, sample)
        return sum(leg.seconds(texts) for leg in chain.legs.values())
    except (ValueError, OSError, CenoteError):
        return 0.0


def _duration(seconds: float) -> str:
    if seconds < 90:
        whole = max(1, round(seconds))
        return f"{whole} second{'s' * (whole != 1)}"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
