"""Compare recipes on texts without documents to find: pairs that are more or less alike, and texts of classes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cenote.measure.annotated import (
    SPLITS,
    Labelled,
    Pair,
    is_no_split,
    read_labelled,
    read_pairs,
    split_of,
    splits_of,
)
from cenote.measure.classes import ClassesTask
from cenote.measure.comparison import Comparison
from cenote.measure.lesson import Lesson
from cenote.measure.metered import Metered
from cenote.measure.pairs import PairsTask
from cenote.measure.planning import Plan, recipes_of
from cenote.measure.planning_texts import plan_of_texts
from cenote.measure.task import Told
from cenote.measure.text_contest import TextContest, TextsTask
from cenote.recipe import Recipe

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings

T = TypeVar("T")
_TEST_SHARE = 0.2
"""Of the labelled texts of a single file: those that are classified; the rest is learnt from."""


def pairs_task(place: str | Path, split: str | None = None, columns: Sequence[str] | None = None) -> PairsTask:
    """Return the task of a file of pairs, or of a folder with one file a split.

    split: which to ask; by default the file that is named, and test of a folder. columns: as in `read_pairs`.
    Raises ValueError for a split that is not there, and for what the file holds wrong.
    """
    return PairsTask(read_pairs(_file(place, split), columns))


def classes_task(
    place: str | Path, split: str | None = None, seed: int = 0, columns: Sequence[str] | None = None
) -> ClassesTask:
    """Return the task of a file of labelled texts and the training file beside it, or of a folder with both.

    One file alone is divided: a fifth, drawn by the seed, is classified. split and columns: as in `pairs_task`.
    Raises ValueError for a split that is not there, and for what the files hold wrong.
    """
    split, found = split or split_of(place), splits_of(place)
    asked = read_labelled(_file(place, split), columns)
    if "train" in found and split != "train":
        return ClassesTask(read_labelled(found["train"], columns), asked, seed)
    learnt, held = _divided(asked, seed)
    return ClassesTask([asked[i] for i in learnt], [asked[i] for i in held], seed)


def _divided(texts: Sequence[Labelled], seed: int) -> tuple[list[int], list[int]]:
    """Numbers of texts to learn from and to classify; of every class one at least is learnt from."""
    left, held = Counter(one.label for one in texts), set[int]()
    for i in np.random.default_rng(seed).permutation(len(texts)).tolist():
        if len(held) < max(1, round(_TEST_SHARE * len(texts))) and left[texts[i].label] > 1:
            left[texts[i].label] -= 1
            held.add(i)
    if not held:
        raise ValueError("every class has a single text: there is nothing left to classify; give each several")
    return [i for i in range(len(texts)) if i not in held], sorted(held)


def pairs_lesson(place: str | Path, split: str | None = None, columns: Sequence[str] | None = None) -> Lesson:
    """Return what poolers may learn from a dataset of pairs: its train split, and its dev split where it has one.

    split and columns: as in `pairs_task`; what is asked is not learnt from. Raises ValueError where there is no train
    split, or it is what is asked.
    """
    train = read_pairs(_file(place, _unasked(place, split)), columns)
    return Lesson.of(train, _dev(place, split, lambda file: read_pairs(file, columns)))


def classes_lesson(
    place: str | Path, split: str | None = None, seed: int = 0, columns: Sequence[str] | None = None
) -> Lesson:
    """Return what poolers may learn from a dataset of labelled texts; of one file, what is not classified.

    split and columns: as in `pairs_task`; what is asked is not learnt from. Raises ValueError for too few texts.
    """
    if "train" in splits_of(place) and (split or split_of(place)) != "train":
        train = read_labelled(_file(place, "train"), columns)
        return Lesson.of(train, _dev(place, split, lambda file: read_labelled(file, columns)))
    return Lesson.of(classes_task(place, split, seed, columns).train, None)


def lesson(place: str | Path, read: Callable[[Path], list[Pair]] | Callable[[Path], list[Labelled]]) -> Lesson:
    """Return what poolers learn from a dataset of which nothing is asked: its train split, or a file that is no split.

    read: `read_pairs` or `read_labelled`. A dev split beside it is the dev set.
    Raises ValueError where there is no train split.
    """
    found = splits_of(place)
    alone = next(iter(found.values())) if len(found) == 1 else None
    train = found.get("train") or (alone if alone is not None and is_no_split(alone) else None)
    if train is None:
        raise ValueError(f"{place} has no train split to learn from; it has {', '.join(found)}")
    return Lesson.of(read(train), read(found["dev"]) if "dev" in found else None)


def _unasked(place: str | Path, split: str | None) -> str:
    if (split or split_of(place)) == "train":
        raise ValueError(f"the train split of {place} is asked, so nothing is left to train on; ask test or dev")
    return "train"


def _dev(place: str | Path, split: str | None, read: Callable[[Path], list[T]]) -> list[T] | None:
    found = splits_of(place)
    return read(found["dev"]) if "dev" in found and (split or split_of(place)) != "dev" else None


def _file(place: str | Path, split: str | None) -> Path:
    if split is not None and split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    found, wanted = splits_of(place), split or split_of(place)
    if wanted not in found:
        has = f"it has {', '.join(found)}"
        raise ValueError(f"{place} has no split {wanted}, which is a file with that word in its name beside it; {has}")
    return found[wanted]


def compare_texts(
    task: TextsTask,
    recipes: str | Recipe | Iterable[str | Recipe],
    *,
    lesson: Lesson | None = None,
    trained: str | Path | None = None,
    margin: float = 0.01,
    seed: int = 0,
    progress: Told | None = None,
    cache: Encodings | None = None,
    planned: Callable[[Plan], None] | None = None,
) -> Comparison:
    """Give every recipe the same texts and say which differences are real; see `compare`.

    lesson: what poolers with weights are trained on first. trained: the folder where those runs are kept.
    """
    if not margin >= 0:
        raise ValueError(f"margin must be 0 or more, not {margin}")
    grid = recipes_of(recipes, train=lesson is not None)
    told = progress or (lambda phase, done, total, now: None)
    with tempfile.TemporaryDirectory(prefix="cenote-compare-") as place:
        meter = Metered() if cache is None else Metered(cache.folder or "off", cache.max_bytes)
        meter = meter if meter.folder is not None else Metered(Path(place) / "encodings")
        contest, runs = TextContest(task, meter), Path(trained or Path(place) / "runs")
        if planned is not None:
            planned(plan_of_texts(contest, task.texts, grid, lesson, runs))
        if lesson is not None:
            contest.train(grid, lesson, runs, seed, told)
        contest.encode(grid, told)
        results = []
        for n, recipe in enumerate(grid):
            told("comparing", n, len(grid), str(recipe))
            found = contest.measure(recipe)
            results.append(found if trained is not None else replace(found, recipe=str(recipe)))
        told("comparing", len(grid), len(grid), "")
    units = {unit: task.describe(unit) for unit in task.units}
    return Comparison(results, units, task.measures[0], margin, seed, task.statistic, task.unit_name)
