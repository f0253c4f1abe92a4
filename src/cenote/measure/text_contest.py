"""The recipes of a comparison of texts: trained, encoded together, and measured one after the other.

An encoder is loaded once, whatever the recipes that use it; the states that poolers are trained on are computed once;
and the texts that are asked about go through it once, for all poolers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cenote.measure.clock import Clock
from cenote.measure.comparison import Result
from cenote.measure.lesson import Lesson
from cenote.measure.metered import Metered
from cenote.measure.task import Task, Told, Vectorial
from cenote.measure.vectors import VectorSystem
from cenote.recipe import Chain, Recipe
from cenote.recipe.payloads import row_of

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder, Pool

_TOGETHER = 512
"""Texts between two signs of progress."""


class TextsTask(Task[Vectorial], Protocol):
    """A task whose texts are known before it is asked."""

    @property
    def sample(self) -> list[str]:
        """Texts that a stage may learn from, without what is known of them."""

    @property
    def texts(self) -> list[str]:
        """Every text whose vector is asked for."""


class TextContest:
    """Recipes that are asked one task. Whatever keeps one of them from running is kept as what its result says."""

    def __init__(self, task: TextsTask, meter: Metered) -> None:
        self._task, self._meter = task, meter
        self._encoders: dict[str, Encoder] = {}
        self._taught: dict[Recipe, Recipe] = {}
        self._failed: dict[Recipe, Exception] = {}
        self._runs: dict[Recipe, dict[str, Any]] = {}

    def train(self, grid: Sequence[Recipe], lesson: Lesson, place: Path, seed: int, told: Told) -> None:
        """Train what the recipes have to train; recipes with the same pooler behind the same encoder share a run."""
        from cenote.measure.training import School, trainable

        schools: dict[str, School] = {}
        untaught = [recipe for recipe in grid if trainable(recipe) is not None]
        runs = {recipe: run_name(recipe) for recipe in untaught}
        names = list(dict.fromkeys(runs.values()))
        for recipe, name in runs.items():
            now = f"{name} ({names.index(name) + 1} of {len(names)})"
            told("training", 0, 1, now)
            try:
                if (written := encoder_of(recipe)) not in schools:
                    encoder = self.encoder(recipe)
                    assert encoder is not None
                    schools[written] = School(encoder, lesson, seed=seed)
                school = schools[written]
                done = school.train(recipe, place / name, partial(_tell, told, now))
            except Exception as error:
                self._failed[recipe] = error
                continue
            assert done is not None
            self._taught[recipe], run = done
            self._runs[recipe] = run.told["trained"]

    def encode(self, grid: Sequence[Recipe], told: Told) -> None:
        """Fill the cache for the recipes of an encoder that differ in pooling only, all poolings in one pass."""
        groups: dict[str, dict[str, Recipe]] = {}
        for recipe in grid:
            if recipe.fuse is None and recipe not in self._failed and len(recipe.legs[0]) > 1:
                pooler = [str(stage) for stage in recipe.legs[0] if row_of(stage, str(recipe)).kind == "pool"]
                groups.setdefault(encoder_of(recipe), {}).setdefault("".join(pooler), recipe)
        texts = self._task.texts
        for recipes in groups.values():
            pools: list[Pool] = []
            encoder: Encoder | None = None
            for recipe in recipes.values():
                # one that does not run says why in its result
                with suppress(Exception):
                    encoder = self.encoder(recipe)
                    pool = Chain(self._taught.get(recipe, recipe), encoder=encoder).leg.pool
                    assert encoder is not None
                    encoder.encode(texts[:1], pool=pool)
                    pools.append(pool)
            # a table of words is looked up as quickly as its vectors are read from the cache
            if encoder is None or encoder.depth == 0 or len(pools) < 2:
                continue
            for start in range(0, len(texts), _TOGETHER):
                told("encoding", start, len(texts), "")
                self._meter.encode(encoder, pools, texts[start : start + _TOGETHER], "document")
            told("encoding", len(texts), len(texts), "")

    def measure(self, recipe: Recipe) -> Result:
        """Ask one recipe; the seconds of a trained one include its training."""
        try:
            if recipe in self._failed:
                raise self._failed[recipe]
            named = self._taught.get(recipe, recipe)
            self._meter.reset()
            with Clock() as clock:
                system = VectorSystem(named, self._task.sample, cache=self._meter, encoder=self.encoder(recipe))
                records = self._task.score(system)
            trained, size = self._runs.get(recipe), system.bytes_per_text
            took = clock.seconds - self._meter.spent + self._meter.cost + (trained["seconds"] if trained else 0.0)
            ms = system.ms_per_text(self._task.queries)
            return Result(str(named), records, size, size, took, ms, trained=trained)
        # whatever keeps one recipe from running must not lose what the others have shown
        except Exception as error:
            return Result(str(recipe), error=str(error) or type(error).__name__)

    def encoder(self, recipe: Recipe) -> Encoder | None:
        """Return the encoder of a recipe, loaded once; None for words, which are counted."""
        written = encoder_of(recipe)
        if recipe.fuse is not None or not row_of(recipe.legs[0][0], str(recipe)).names_model:
            return None
        if written not in self._encoders:
            self._encoders[written] = Chain(written).encoder
        return self._encoders[written]


def _tell(told: Told, now: str, done: int, most: int) -> None:
    told("training", done, most, now)


def encoder_of(recipe: Recipe) -> str:
    """Return the encoder of a recipe as it is written."""
    return str(recipe.legs[0][0])


def run_name(recipe: Recipe) -> str:
    """Return the encoder and the pooler of a recipe as the name of a folder."""
    stages = [str(one) for one in recipe.legs[0] if row_of(one, str(recipe)).kind in ("encoder", "pool")]
    return re.sub(r"[^\w.=+-]+", "-", " ".join(stages)).strip("-")
