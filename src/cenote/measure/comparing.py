"""Compare recipes on one's own questions."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cenote.measure.clock import Clock
from cenote.measure.comparison import Comparison, Result
from cenote.measure.measuring import Measurable, ms_per_query
from cenote.measure.metered import Metered
from cenote.measure.planning import Plan, is_collection, plan, recipes_of
from cenote.measure.retrieval import RetrievalTask
from cenote.measure.run import RunWriter
from cenote.measure.sharing import Stored, encode_once
from cenote.measure.task import System, Task, Told
from cenote.recipe import Recipe

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings


DECIDES = "ndcg_at_10"
"""The measure of questions that decides, unless another is named."""
_BASE = "bm25"
"""What documents are stored with until recipes index them: it needs no model and leaves no document out."""


class Base(Measurable, Stored, Protocol):
    """What `compare` asks of a collection beside what `measure` asks."""

    path: Path

    def reindex(self, recipe: str, out: str | Path | None = None, *, cache: Encodings | None = None) -> Base:
        """Return a new collection of the same documents."""

    def close(self) -> None:
        """Let go of the files."""


def compare(
    source: Any = None,
    *,
    recipes: str | Recipe | Iterable[str | Recipe],
    queries: str | Path | None = None,
    qrels: str | Path | None = None,
    questions: str | Path | None = None,
    margin: float = 0.01,
    keep: Literal["best"] | None = None,
    out: str | Path | None = None,
    measure: str = DECIDES,
    seed: int = 0,
    progress: Told | None = None,
    cache: Encodings | None = None,
    runs: str | Path | None = None,
    text_column: str | None = None,
    pairs: str | Path | None = None,
    labels: str | Path | None = None,
    split: str | None = None,
    columns: Sequence[str] | None = None,
    train: bool = False,
    trained: str | Path | None = None,
    planned: Callable[[Plan], None] | None = None,
) -> Comparison:
    """Build every recipe over the same documents, ask each the same questions, and say which differences are real.

    source: a collection, its path, or whatever `cenote.create` takes. recipes: recipes or grids; the first is the
    baseline. queries and qrels (BEIR or TREC files), or questions (a spreadsheet); a BEIR folder brings its own.
    margin: what a recipe may lose and still count as not worse. keep="best" leaves the winner's collection at `out`.
    measure: the one that decides. runs: a folder for one TREC run a recipe. text_column: as in `cenote.create`.
    Documents are read once, and what recipes share is encoded once.

    In place of documents, texts alone: pairs (two texts and how alike they are: Spearman's correlation decides) or
    labels (a text and its class: the accuracy of a linear classifier), each a file or a folder with one file a split.
    split: which of them is asked; by default the file that is named, and test of a folder. columns: the names of its
    columns where they are not the usual ones: two texts and their score, or a text and its class.
    train: fit poolers that have weights on the train split first, the learning rate and the round picked on dev;
    `{pool.*}` stands for them too. trained: a folder where these runs are kept; those that are there are not trained
    again, so that an interrupted comparison goes on.

    planned: told what is going to be done, and about how long it takes, once all that was given is known to be right.

    A recipe that cannot be built is reported in its row, and stops nothing. Raises RecipeError for one that cannot be
    read, ValueError for wrong arguments, questions or judgements, and what reading the source raises.
    """
    if pairs is not None or labels is not None:
        if source is not None or (pairs is not None and labels is not None):
            raise ValueError("give one of a source of documents, pairs and labels")
        from cenote.measure.comparing_texts import classes_lesson, classes_task, compare_texts, pairs_lesson, pairs_task

        if text_column is not None:
            raise ValueError("text_column is of documents; of pairs and labels, name all columns with columns")
        of_documents = {"queries": queries, "qrels": qrels, "questions": questions, "keep": keep, "runs": runs}
        of_documents["measure"] = None if measure == DECIDES else measure
        if named := [name for name, value in of_documents.items() if value is not None]:
            raise ValueError(f"{named[0]} is of documents, and pairs and labels have none; leave it out")
        asked = (
            pairs_task(pairs, split, columns) if pairs is not None else classes_task(str(labels), split, seed, columns)
        )
        lesson = None
        if train or trained is not None:
            if pairs is not None:
                lesson = pairs_lesson(pairs, split, columns)
            else:
                lesson = classes_lesson(str(labels), split, seed, columns)
        return compare_texts(
            asked,
            recipes,
            lesson=lesson,
            trained=trained,
            margin=margin,
            seed=seed,
            progress=progress,
            cache=cache,
            planned=planned,
        )
    if train or trained is not None:
        raise ValueError("train needs pairs or labels, whose train split poolers learn from")
    if split is not None or columns is not None:
        raise ValueError("split and columns are of pairs and labels; a source of documents has neither")
    if source is None:
        raise ValueError("source is missing; give documents or a collection, or else pairs or labels")
    grid = recipes_of(recipes)
    wanted = [str(recipe) for recipe in grid]
    task = RetrievalTask.read(queries=queries, qrels=qrels, questions=questions, beside=source)
    if measure not in task.measures:
        raise ValueError(f"measure must be one of {', '.join(task.measures)}, not {measure!r}")
    if not margin >= 0:
        raise ValueError(f"margin must be 0 or more, not {margin}")
    if keep not in (None, "best"):
        raise ValueError(f"keep must be 'best' or None, not {keep!r}")
    if (keep is None) != (out is None):
        raise ValueError("keep='best' and out, the place of the collection that is kept, come together")
    if out is not None and Path(out).exists():
        raise ValueError(f"{out} exists; name a place that does not, or remove it")
    if runs is not None:
        Path(runs).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cenote-compare-", dir=_beside(source, out)) as place:
        meter = _meter(cache, Path(place))
        base, opened = _base(source, Path(place), text_column, progress)
        try:
            bound = task.bind(base.ids())
            if planned is not None:
                planned(plan(base, grid))
            encode_once(base, grid, meter)
            results, best = _measure_all(base, bound, wanted, Path(place), meter, measure, progress, runs, keep)
        finally:
            if opened:
                base.close()
        if out is not None and best is not None:
            shutil.move(best, out)
    units = {unit: bound.describe(unit) for unit in bound.units}
    return Comparison(results, units, measure, margin, seed, bound.statistic, bound.unit_name)


def _beside(source: Any, out: str | Path | None) -> Path | None:
    """Where the collections are built: on the disk of the result, or of the documents, which are linked, not copied."""
    if out is not None:
        Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
        return Path(out).absolute().parent
    path = source.path if hasattr(source, "reindex") else source
    if not is_collection(source) or os.stat(path).st_dev == os.stat(tempfile.gettempdir()).st_dev:
        return None
    parent = Path(path).absolute().parent
    return parent if os.access(parent, os.W_OK) else None


def _meter(cache: Encodings | None, place: Path) -> Metered:
    meter = Metered() if cache is None else Metered(cache.folder or "off", cache.max_bytes)
    # without any cache, recipes would not share their encodings: one that lives as long as the comparison does
    return meter if meter.folder is not None else Metered(place / "encodings")


def _base(source: Any, place: Path, text_column: str | None, progress: Told | None) -> tuple[Base, bool]:
    """The collection whose documents every recipe indexes, and whether it is ours to close."""
    if hasattr(source, "reindex"):
        return source, False
    from cenote import collection

    if is_collection(source):
        return collection.open_collection(source), True

    def told(phase: str, done: int, total: int | None) -> None:
        if progress is not None and phase == "read":
            progress(phase, done, total, "")

    return collection.create(place / "base", source, _BASE, text_column=text_column, progress=told), True


def _measure_all(
    base: Base,
    task: Task[System],
    wanted: list[str],
    place: Path,
    meter: Metered,
    measure: str,
    progress: Told | None,
    runs: str | Path | None,
    keep: str | None,
) -> tuple[list[Result], Path | None]:
    """The results of all recipes, and the folder of the best one's collection where it is kept."""
    results: list[Result] = []
    best: tuple[float, float, Path] | None = None
    for n, recipe in enumerate(wanted):
        if progress is not None:
            progress("comparing", n, len(wanted), recipe)
        folder = place / str(n)
        run = Path(runs) / f"{n + 1:03d}-{_slug(recipe)}.run" if runs is not None else None
        try:
            result = _measure_one(base, task, recipe, folder, meter, run)
        # whatever keeps one recipe from running must not lose what the others have shown
        except Exception as error:
            results.append(Result(recipe, error=str(error) or type(error).__name__))
            shutil.rmtree(folder, ignore_errors=True)
            continue
        results.append(result)
        score = _rank_of(result, task, measure)
        if keep is not None and (best is None or score > best[:2]):
            if best is not None:
                shutil.rmtree(best[2])
            best = (*score, folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if progress is not None:
        progress("comparing", len(wanted), len(wanted), "")
    return results, None if best is None else best[2]


def _measure_one(base: Base, task: Task[System], recipe: str, folder: Path, meter: Metered, run: Path | None) -> Result:
    meter.reset()
    with Clock() as clock:
        built = base.reindex(recipe, folder, cache=meter)
    took = clock.seconds - meter.spent + meter.cost
    try:
        with RunWriter(run, _slug(recipe)) if run is not None else nullcontext() as listener:
            records = task.score(built, listener=listener)
        sizes = built.info()
        return Result(
            recipe,
            records,
            sizes.bytes_per_document,
            sizes.first_pass_bytes_per_document,
            took,
            ms_per_query(built, task.queries),
        )
    finally:
        built.close()


def _rank_of(result: Result, task: Task[System], measure: str) -> tuple[float, float]:
    """What the best is greatest in: the score, then how few bytes."""
    assert result.records is not None
    return task.statistic(result.records.values[measure]), -(result.bytes_per_document or 0.0)


def _slug(recipe: str) -> str:
    """A recipe as part of a file's name."""
    return re.sub(r"[^\w.=+-]+", "-", recipe).strip("-")[:100]
