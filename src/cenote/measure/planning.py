"""What a comparison is going to do, said before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any

from cenote.data.base import Document
from cenote.errors import CenoteError
from cenote.measure.sharing import encodings, passages
from cenote.recipe import Chain, Recipe, expand
from cenote.recipe.payloads import row_of

_SAMPLE = 48
"""Documents that are encoded to learn how fast that is here."""
_SECONDS_A_RECIPE = 2.0
"""Files, fits and searches of a recipe on a small collection."""
_CHARACTERS_A_BYTE = {".gz": 3.0, ".pdf": 0.05, ".docx": 0.1, ".html": 0.5, ".htm": 0.5, ".ipynb": 0.3, ".parquet": 3.0}


@dataclass(frozen=True)
class Plan:
    """recipes: all of them, in order. encodings: passes of an encoder over the documents that they share.

    documents: how many, None where that is not known before reading. seconds: roughly, with nothing encoded yet; None
    where nothing could be tried.
    """

    recipes: Sequence[str]
    encodings: int
    documents: int | None
    seconds: float | None

    def sentence(self) -> str:
        """Return the plan in a sentence."""
        documents = "" if self.documents is None else f" of {self.documents:,} documents"
        count = f"{len(self.recipes)} recipe{'s' * (len(self.recipes) != 1)}"
        shared = f"{self.encodings} encoding{'s' * (self.encodings != 1)}{documents}"
        took = "" if self.seconds is None else f": about {_duration(self.seconds)}"
        return f"{count} from {shared}{took}."


def recipes_of(recipes: str | Recipe | Iterable[str | Recipe], *, train: bool = False) -> list[Recipe]:
    """Return every recipe of some recipes or grids, in order, each once; see `recipe.expand` for `train`.

    Raises RecipeError with the place of what cannot be read, ValueError when there is none.
    """
    given = [recipes] if isinstance(recipes, str | Recipe) else list(recipes)
    found = list(dict.fromkeys(recipe for text in given for recipe in expand(text, train=train)))
    if not found:
        raise ValueError("recipes is empty; give at least one, such as 'minilm | flat'")
    return found


def plan(source: Any, recipes: str | Recipe | Iterable[str | Recipe]) -> Plan:
    """Return what comparing these recipes on a source would do, and about how long it takes.

    A few documents are read, and encoded with every encoder: how many there are is taken from the source's length, or
    guessed from the sizes of its files. What is in the cache of encodings already makes it shorter.
    Raises RecipeError for what cannot be read.
    """
    wanted = recipes_of(recipes)
    passes = [group[0] for group in encodings(wanted).values()]
    sample, documents, share = _sample(source)
    seconds = None
    if sample:
        took = [_encode(recipe, sample) for recipe in passes]
        seconds = sum(took) * share + _SECONDS_A_RECIPE * len(wanted)
    return Plan([str(recipe) for recipe in wanted], len(passes), documents, seconds)


def plan_of_texts(recipes: str | Recipe | Iterable[str | Recipe], *, train: bool) -> str:
    """Return what comparing recipes on pairs or labelled texts would do, in a sentence; `train` as in `recipes_of`."""
    wanted = recipes_of(recipes, train=train)
    count = f"{len(wanted)} recipe{'s' * (len(wanted) != 1)}"
    shared = f"{len(encodings(wanted))} encoding{'s' * (len(encodings(wanted)) != 1)}"
    learn = {str(recipe.legs[0][:2]) for recipe in wanted if train and _learns(recipe)}
    return f"{count} from {shared}, {len(learn)} to be trained first." if learn else f"{count} from {shared}."


def _learns(recipe: Recipe) -> bool:
    rows = ((stage, row_of(stage, str(recipe))) for leg in recipe.legs for stage in leg)
    return recipe.fuse is None and any(row.trained and stage.path is None for stage, row in rows)


def _sample(source: Any) -> tuple[list[Document], int | None, float]:
    """Some documents, how many there are, and how many times the characters of the sample they all have."""
    if hasattr(source, "reindex"):
        return _sample_of(source)
    if is_collection(source):
        from cenote import collection

        with collection.open_collection(source) as opened:
            return _sample_of(opened)
    if isinstance(source, Iterator):
        return [], None, 1.0
    from cenote.data import read

    some = [found for found in islice(read(source), 2 * _SAMPLE) if isinstance(found, Document)]
    sample = some[:_SAMPLE]
    if len(some) < _SAMPLE:
        return sample, len(some), 1.0
    characters = sum(len(document.text) for document in sample)
    whole = _characters(source)
    if whole is not None:
        return sample, None, max(1.0, whole / max(1, characters))
    documents = len(source) if hasattr(source, "__len__") else None
    return sample, documents, (documents or len(sample)) / max(1, len(sample))


def _sample_of(collection: Any) -> tuple[list[Document], int, float]:
    ids = list(collection.ids())
    step = max(1, -(-len(ids) // _SAMPLE))
    sample = collection.get(ids[::step])
    return sample, len(ids), len(ids) / max(1, len(sample))


def _characters(source: Any) -> float | None:
    """About how many characters the files of a source hold; None where it is no files."""
    parts = [source] if isinstance(source, str | Path) else source if isinstance(source, list | tuple) else []
    if not parts or not all(isinstance(part, str | Path) for part in parts):
        return None
    total = 0.0
    for part in parts:
        for place in [Path(part)] if Path(part).exists() else map(Path, glob(str(part), recursive=True)):
            for file in place.rglob("*") if place.is_dir() else [place]:
                if file.is_file():
                    total += file.stat().st_size * _CHARACTERS_A_BYTE.get(file.suffix.lower(), 0.9)
    return total


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
        return f"{max(1, round(seconds)):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
