"""Compare recipes on texts without documents to find: pairs that are more or less alike, and texts of classes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from cenote.measure.annotated import SPLITS, read_labelled, read_pairs, splits_of
from cenote.measure.classes import ClassesTask
from cenote.measure.comparison import Comparison, Result
from cenote.measure.lesson import Lesson
from cenote.measure.measuring import MOST_TIMED
from cenote.measure.metered import Metered
from cenote.measure.pairs import PairsTask
from cenote.measure.planning import recipes_of
from cenote.measure.task import Task, Vectorial
from cenote.measure.vectors import VectorSystem
from cenote.recipe import Recipe

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings

T = TypeVar("T")
_TEST_SHARE = 0.2
"""Of the labelled texts of a single file: those that are classified; the rest is learnt from."""


class TextsTask(Task[Vectorial], Protocol):
    """A task that says from which of its texts a stage may learn."""

    @property
    def sample(self) -> list[str]:
        """Texts, without what is known of them."""


def pairs_task(place: str | Path, split: str = "test") -> PairsTask:
    """Return the task of a file of pairs, or of a folder with one file a split.

    Raises ValueError for a split that is not there, and for what the file holds wrong.
    """
    return PairsTask(read_pairs(_file(place, split)))


def classes_task(place: str | Path, split: str = "test", seed: int = 0) -> ClassesTask:
    """Return the task of a file of labelled texts and the training file beside it, or of a folder with both.

    One file alone is divided: a fifth, drawn by the seed, is classified. Raises ValueError for a split that is not
    there, and for what the files hold wrong.
    """
    found, asked = splits_of(place), read_labelled(_file(place, split))
    if "train" in found and split != "train":
        return ClassesTask(read_labelled(found["train"]), asked, seed)
    order = np.random.default_rng(seed).permutation(len(asked)).tolist()
    cut = max(1, round(_TEST_SHARE * len(asked)))
    return ClassesTask([asked[i] for i in sorted(order[cut:])], [asked[i] for i in sorted(order[:cut])], seed)


def pairs_lesson(place: str | Path) -> Lesson:
    """Return what poolers may learn from a dataset of pairs: its train split, and its dev split where it has one.

    Raises ValueError where there is no train split.
    """
    return Lesson.of(read_pairs(_file(place, "train")), _dev(place, read_pairs))


def classes_lesson(place: str | Path, seed: int = 0) -> Lesson:
    """Return what poolers may learn from a dataset of labelled texts; of one file, what is not classified.

    Raises ValueError for too few texts.
    """
    if "train" in splits_of(place):
        return Lesson.of(read_labelled(_file(place, "train")), _dev(place, read_labelled))
    return Lesson.of(classes_task(place, "test", seed).train, None)


def _dev(place: str | Path, read: Callable[[Path], list[T]]) -> list[T] | None:
    found = splits_of(place)
    return read(found["dev"]) if "dev" in found else None


def _file(place: str | Path, split: str) -> Path:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    found = splits_of(place)
    if split not in found:
        raise ValueError(f"{place} has no split {split}; it has {', '.join(found)}")
    return found[split]


def compare_texts(
    task: TextsTask,
    recipes: str | Recipe | Iterable[str | Recipe],
    *,
    lesson: Lesson | None = None,
    trained: str | Path | None = None,
    margin: float = 0.01,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
    cache: Encodings | None = None,
) -> Comparison:
    """Give every recipe the same texts and say which differences are real; see `compare`.

    lesson: what poolers with weights are trained on first. trained: the folder where those runs are kept.
    """
    grid = recipes_of(recipes, train=lesson is not None)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="cenote-compare-") as place:
        meter = Metered() if cache is None else Metered(cache.folder or "off", cache.max_bytes)
        meter = meter if meter.folder is not None else Metered(Path(place))
        for n, recipe in enumerate(grid):
            if progress is not None:
                progress(n, len(grid), str(recipe))
            try:
                run = Path(trained or place) / f"{n + 1:03d}"
                named = recipe if lesson is None else taught(recipe, lesson, run, seed)
                result = _measured(task, named, meter)
                results.append(result if trained is not None else replace(result, recipe=str(recipe)))
            # whatever keeps one recipe from running must not lose what the others have shown
            except Exception as error:
                results.append(Result(str(recipe), error=str(error) or type(error).__name__))
    if progress is not None:
        progress(len(grid), len(grid), "")
    units = {unit: task.describe(unit) for unit in task.units}
    return Comparison(results, units, task.measures[0], margin, seed, task.statistic, task.unit_name)


def taught(recipe: Recipe, lesson: Lesson, place: Path, seed: int) -> Recipe:
    """Return a recipe with its pooler trained, where it has one to train; the run is saved at `place`."""
    from cenote.measure.training import train_recipe

    found = train_recipe(recipe, lesson, place, seed=seed)
    return recipe if found is None else found[0]


def _measured(task: TextsTask, recipe: Recipe, meter: Metered) -> Result:
    meter.reset()
    began = time.perf_counter()
    system = VectorSystem(recipe, task.sample, cache=meter)
    records = task.score(system)
    took = time.perf_counter() - began - meter.spent + meter.cost
    size = system.bytes_per_text
    return Result(str(recipe), records, size, size, took, system.ms_per_text(task.queries[:MOST_TIMED]))
