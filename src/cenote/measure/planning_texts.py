"""What a comparison of texts without documents is going to do, said before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cenote.errors import CenoteError
from cenote.measure.lesson import Lesson
from cenote.measure.planning import SAMPLE, Plan
from cenote.measure.sharing import encodings
from cenote.measure.text_contest import TextContest, encoder_of, run_name
from cenote.recipe import Recipe

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder

_SECONDS_A_RECIPE = 0.7
"""The classifier of a recipe, and the time of one text."""
_TRIED, _STEPS = 64, 9
"""Examples that poolers are tried on, which are a batch, and steps of the longer of two trials."""
_ROUNDS, _STEPS_A_ROUND, _SCORE = 8, 32, 3
"""Rounds of a pooler, as most have them: three rates, one beyond them, and four of the best. Each takes so many steps,
and a score of so many times what one of a few examples takes: its classifier grows slower than they do."""


def plan_of_texts(
    contest: TextContest, texts: Sequence[str], grid: Sequence[Recipe], lesson: Lesson | None, place: Path
) -> Plan:
    """Return what comparing recipes on texts would do, and about how long it takes.

    A few texts are encoded with every encoder, and every pooler that has no run at `place` is trained for a few steps.
    """
    passes = [group[0] for group in encodings(grid).values()]
    learning = {} if lesson is None else _learning(grid, place)
    taught = 0 if lesson is None else len(set(lesson.texts))
    seconds = _SECONDS_A_RECIPE * len(grid)
    for recipe in passes:
        # whatever keeps a recipe from running is told in its result
        with suppress(ValueError, OSError, CenoteError):
            encoder = contest.encoder(recipe)
            if encoder is None:
                continue
            mine = [one for one in learning.values() if encoder_of(one) == encoder_of(recipe)]
            # a table of words is asked anew by every recipe
            times = 1 if encoder.depth else sum(encoder_of(one) == encoder_of(recipe) for one in grid)
            seconds += _encoding(encoder, texts) * (times * len(texts) + (taught if mine else 0))
            if lesson is not None:
                seconds += _ROUNDS * sum(_round(encoder, one, lesson) for one in mine)
    return Plan([str(recipe) for recipe in grid], len(passes), len(texts), seconds, "text", len(learning))


def _learning(grid: Sequence[Recipe], place: Path) -> dict[str, Recipe]:
    """The recipes whose poolers have to be trained, one a run."""
    from cenote.measure.training import trainable

    untaught = {run_name(recipe): recipe for recipe in grid if trainable(recipe) is not None}
    return {name: recipe for name, recipe in untaught.items() if not (place / name).exists()}


def _encoding(encoder: Encoder, texts: Sequence[str]) -> float:
    """The seconds that encoding one text takes."""
    sample = texts[:: -(-len(texts) // SAMPLE)]
    encoder.encode(sample[:1])
    began = time.perf_counter()
    encoder.encode(sample)
    return (time.perf_counter() - began) / len(sample)


def _round(encoder: Encoder, recipe: Recipe, lesson: Lesson) -> float:
    """The seconds that a round of training takes, scored at its end; none where it cannot be trained."""
    from cenote.measure.training import School
    from cenote.train.pooler import Budget

    few = Lesson(*(some[:: -(-len(some) // _TRIED)] for some in (lesson.train, lesson.dev)))
    took: list[float] = []
    with TemporaryDirectory(prefix="cenote-plan-") as place, suppress(ValueError, CenoteError):
        school = School(encoder, few)
        # the first time computes the states, and imports what training needs
        for n, steps in enumerate((1, 1, _STEPS)):
            school.budget = Budget(rates=(1e-3,), rounds=1, examples=steps * _TRIED, batch=_TRIED)
            began = time.perf_counter()
            school.train(recipe, Path(place) / str(n))
            took.append(time.perf_counter() - began)
    if len(took) < 3:
        return 0.0
    step = max(0.0, (took[2] - took[1]) / (_STEPS - 1))
    # one is scored before the step, too
    return _STEPS_A_ROUND * step + _SCORE * max(0.0, took[1] - step) / 2
