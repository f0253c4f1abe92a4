"""Train what a recipe has to train, on the train split of the texts it will be asked about.

Pairs train by CoSENT, and the dev score is Spearman's; classes by a linear classifier on the vectors, which is thrown
away afterwards, and the dev score is the accuracy of one fitted anew. The encoder stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cenote.measure.annotated import Labelled, Pair
from cenote.measure.correlation import Spearman
from cenote.measure.lesson import Lesson
from cenote.measure.logistic import Logistic
from cenote.pool.base import Pooler
from cenote.recipe import Chain, Recipe
from cenote.recipe.grammar import Stage
from cenote.train.cosent import cosent
from cenote.train.frozen import FrozenStates
from cenote.train.pooler import Budget, Loss, Trained, train
from cenote.train.runs import Run
from cenote.train.sweep import FURTHER, RATES
from cenote.train.tried import Tried

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder

_SCORED = 1000
"""Examples at most that a dev score is taken of, and that its classifier is fitted to: one is taken every round."""


class School:
    """Trains the poolers of one encoder, whose states are computed once for all of them."""

    def __init__(self, encoder: Encoder, lesson: Lesson, *, budget: Budget | None = None, seed: int = 0) -> None:
        self.encoder, self.lesson, self.seed = encoder, lesson, seed
        self.budget = budget or Budget()
        self._states = FrozenStates(encoder, lesson.texts)

    def train(
        self, recipe: Recipe, place: str | Path, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Recipe, Run] | None:
        """Train the pooler of a recipe, save the run at `place`, and return the recipe that names it; None for none.

        A run that is at `place` already is taken, where it was trained in the same way on the same.
        Raises RecipeError for a recipe that cannot be built, ValueError for a `place` that holds something else.
        """
        stage = trainable(recipe)
        if stage is None:
            return None
        # the pooler is made here, with weights to begin from: the chain would ask for a run
        leg = Chain(without(recipe, stage), encoder=self.encoder).leg
        one = next(n for n in Chain.numbered(recipe) if n.stage is stage)
        torch.manual_seed(self.seed)
        first = leg.made_pooler(one)
        how: dict[str, Any] = {"config": one.stage.word, "arguments": one.arguments(), "lesson": self.lesson.digest}
        how |= {"budget": asdict(self.budget), "seed": self.seed, "sha256": self.encoder.sha256}
        how |= {"sweep": [RATES, FURTHER]} if self.budget.rates is None else {}
        key = hashlib.blake2b(json.dumps(how, sort_keys=True).encode(), digest_size=16).hexdigest()
        run = self._kept(Path(place), key)
        began, before = time.perf_counter(), self._states.spent
        # states that poolers share are counted in full for each of them
        tried = Tried(Path(place), key, lambda: time.perf_counter() - began - (self._states.spent - before))
        if run is None:
            found = self._trained(first, tried, progress)
            run = self._run(found, key, tried.seconds + self._states.seconds(found.pooler))
            run.save(place)
        tried.forget()
        named = replace(stage, path=str(place), values=(), keys=())
        legs = tuple(tuple(named if s is stage else s for s in leg) for leg in recipe.legs)
        return replace(recipe, legs=legs), run

    def _kept(self, place: Path, key: str) -> Run | None:
        if not place.exists():
            return None
        run = Run.load(place)
        if run.told["trained"].get("key") != key:
            raise ValueError(f"{place} was trained on something else, or otherwise; name another folder, or remove it")
        return run

    def _trained(self, first: Pooler, tried: Tried, progress: Callable[[int, int], None] | None) -> Trained:
        of = _of_pairs if isinstance(self.lesson.train[0], Pair) else _of_classes
        loss, score = of(self._states, self.lesson, self.seed)
        return train(
            lambda: first,
            loss,
            score,
            len(self.lesson.train),
            budget=self.budget,
            seed=self.seed,
            progress=progress,
            tried=tried,
        )

    def _run(self, found: Trained, key: str, seconds: float) -> Run:
        scores = {f"{rate:g}": score if np.isfinite(score) else None for rate, score in sorted(found.tried.items())}
        how: dict[str, Any] = {"rate": found.rate, "rate_inside": found.inside, "rates": scores, "round": found.round}
        how |= {"dev": found.score, "dev_before": found.begun, "seed": self.seed, "seconds": seconds, "key": key}
        encoder = {"reference": self.encoder.reference(), "sha256": self.encoder.sha256}
        return Run.of(found.pooler, encoder=encoder, trained=how)


def trainable(recipe: Recipe) -> Stage | None:
    """Return the stage of a recipe that has weights and no run; None where none has, or the recipe is a hybrid."""
    if recipe.fuse is not None:
        return None
    return next((n.stage for n in Chain.numbered(recipe) if n.row.trained and n.stage.path is None), None)


def without(recipe: Recipe, stage: Stage) -> Recipe:
    """Return a recipe of one leg without one of its stages."""
    return replace(recipe, legs=(tuple(one for one in recipe.legs[0] if one is not stage),))


def _some(count: int, seed: int) -> list[int]:
    """Numbers of at most so many examples as are scored, drawn by the seed."""
    drawn: list[int] = np.sort(np.random.default_rng(seed).permutation(count)[:_SCORED]).tolist()
    return drawn


def _of_pairs(
    states: FrozenStates, lesson: Lesson, seed: int
) -> tuple[Callable[[Pooler], tuple[Loss, nn.Module | None]], Callable[[Pooler], float]]:
    pairs, dev = ([one for one in some if isinstance(one, Pair)] for some in (lesson.train, lesson.dev))
    dev = [dev[i] for i in _some(len(dev), seed)]

    def cosines(pooler: Pooler, some: Sequence[Pair]) -> Tensor:
        x = states.pooled(pooler, [text for pair in some for text in (pair.first, pair.second)])
        return (x[0::2] * x[1::2]).sum(1)

    def loss(pooler: Pooler, numbers: Sequence[int]) -> Tensor:
        some = [pairs[i] for i in numbers]
        found = cosines(pooler, some)
        return cosent(found, found.new_tensor([pair.score for pair in some]))

    def score(pooler: Pooler) -> float:
        found = torch.cat([cosines(pooler, dev[i : i + 256]) for i in range(0, len(dev), 256)])
        return Spearman()(np.stack([found.double().cpu().numpy(), [pair.score for pair in dev]], axis=1))

    return lambda pooler: (loss, None), score


def _of_classes(
    states: FrozenStates, lesson: Lesson, seed: int
) -> tuple[Callable[[Pooler], tuple[Loss, nn.Module | None]], Callable[[Pooler], float]]:
    texts, dev = ([one for one in some if isinstance(one, Labelled)] for some in (lesson.train, lesson.dev))
    dev = [dev[i] for i in _some(len(dev), seed)]
    number = {label: n for n, label in enumerate(sorted({one.label for one in texts}))}
    truth = [number[one.label] for one in texts]
    # a part of the training texts is enough to tell poolers apart, and is fitted anew after every round
    sample = _some(len(texts), seed)

    def vectors(pooler: Pooler, some: Sequence[Labelled]) -> Tensor:
        return torch.cat([states.pooled(pooler, [o.text for o in some[i : i + 256]]) for i in range(0, len(some), 256)])

    def losses(pooler: Pooler) -> tuple[Loss, nn.Module]:
        with torch.inference_mode():
            width = vectors(pooler, texts[:1]).shape[1]
        # unit vectors need a scale before a softmax tells classes apart
        head = nn.Linear(width, len(number))

        def loss(pooler: Pooler, numbers: Sequence[int]) -> Tensor:
            x = states.pooled(pooler, [texts[i].text for i in numbers])
            return nn.functional.cross_entropy(head(10 * x), torch.tensor([truth[i] for i in numbers]))

        return loss, head

    def score(pooler: Pooler) -> float:
        learnt = vectors(pooler, [texts[i] for i in sample]).float().cpu().numpy()
        model = Logistic.fit(learnt, np.array([truth[i] for i in sample]), 10.0)
        right = [number.get(one.label, -1) for one in dev]
        return float((model.predict(vectors(pooler, dev).float().cpu().numpy()) == right).mean())

    return losses, score
