"""Train what a recipe has to train, on the train split of the texts it will be asked about.

Pairs train by CoSENT, and the dev score is Spearman's; classes by a linear classifier on the vectors, which is thrown
away afterwards, and the dev score is the accuracy of one fitted anew. The encoder stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

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


def train_recipe(
    recipe: Recipe,
    lesson: Lesson,
    place: str | Path,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Recipe, Trained] | None:
    """Train the pooler of a recipe, save the run at `place`, and return the recipe that names it; None for none.

    Raises RecipeError for a recipe that cannot be built, ValueError for a `place` that exists.
    """
    stage = trainable(recipe)
    if stage is None:
        return None
    # the pooler is made here, with weights to begin from: the chain would ask for a run
    bare = Chain(without(recipe, stage))
    leg = bare.leg
    one = next(n for n in Chain.numbered(recipe) if n.stage is stage)
    torch.manual_seed(seed)
    first = leg.made_pooler(one)
    states = FrozenStates(leg.encoder, lesson.texts, first)
    loss, score = _of_pairs(states, lesson) if isinstance(lesson.train[0], Pair) else _of_classes(states, lesson, seed)
    found = train(lambda: first, loss, score, len(lesson.train), budget=budget, seed=seed, progress=progress)
    encoder = {"reference": leg.encoder.reference(), "sha256": leg.encoder.sha256}
    how = {"rate": found.rate, "epoch": found.epoch, "dev": found.score, "dev_before": found.begun, "seed": seed}
    Run.of(found.pooler, encoder=encoder, trained=how).save(place)
    named = replace(stage, path=str(place), values=(), keys=())
    legs = tuple(tuple(named if s is stage else s for s in leg) for leg in recipe.legs)
    return replace(recipe, legs=legs), found


def trainable(recipe: Recipe) -> Stage | None:
    """Return the stage of a recipe that has weights and no run; None where none has, or the recipe is a hybrid."""
    if recipe.fuse is not None:
        return None
    return next((n.stage for n in Chain.numbered(recipe) if n.row.trained and n.stage.path is None), None)


def without(recipe: Recipe, stage: Stage) -> Recipe:
    """Return a recipe of one leg without one of its stages."""
    return replace(recipe, legs=(tuple(one for one in recipe.legs[0] if one is not stage),))


def _of_pairs(
    states: FrozenStates, lesson: Lesson
) -> tuple[Callable[[Pooler], tuple[Loss, nn.Module | None]], Callable[[Pooler], float]]:
    pairs, dev = ([one for one in some if isinstance(one, Pair)] for some in (lesson.train, lesson.dev))

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
    number = {label: n for n, label in enumerate(sorted({one.label for one in texts}))}
    truth = [number[one.label] for one in texts]

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
        # a part of the training texts is enough to tell poolers apart, and is fitted anew after every epoch
        some = np.random.default_rng(seed).permutation(len(texts))[:2000]
        learnt = vectors(pooler, [texts[i] for i in some]).float().cpu().numpy()
        model = Logistic.fit(learnt, np.array([truth[i] for i in some]), 10.0)
        right = [number.get(one.label, -1) for one in dev]
        return float((model.predict(vectors(pooler, dev).float().cpu().numpy()) == right).mean())

    return losses, score
