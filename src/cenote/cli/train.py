"""cenote train: fit the pooler of a recipe on texts of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.arguments import AsJson, Recipe
from cenote.cli.terminal import TERMINAL, result, result_json


def train(
    recipe: Recipe,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Where the run goes.")],
    pairs: Annotated[Path | None, typer.Option(metavar="F", help="Two texts and how alike they are.")] = None,
    labels: Annotated[Path | None, typer.Option(metavar="F", help="Texts and their classes.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of about 2,000 examples each, at most.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the first weights and the order.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train the pooler of a recipe on the train split; the learning rate and the round are picked on dev."""
    from cenote.errors import RecipeError
    from cenote.measure.comparing_texts import classes_lesson, pairs_lesson
    from cenote.measure.training import School, trainable, without
    from cenote.recipe import Chain, parse
    from cenote.train.pooler import Budget

    if (pairs is None) == (labels is None):
        raise ValueError("give one of --pairs and --labels: what the pooler learns from")
    if out.exists():
        raise ValueError(f"--out is {out}, which exists; name a place that does not")
    lesson = pairs_lesson(pairs) if pairs is not None else classes_lesson(str(labels), seed=seed)
    parsed = parse(recipe)
    stage = trainable(parsed)
    if stage is None:
        reason = "no stage of this recipe has weights to train; name a pooler that does"
        raise RecipeError(reason, recipe, 0, len(recipe))
    school = School(Chain(without(parsed, stage)).encoder, lesson, budget=Budget(rounds=rounds), seed=seed)
    with TERMINAL.progress() as progress:
        done = school.train(parsed, out, lambda round, most: progress("training", round, most))
    assert done is not None
    named, run = done
    found = run.told["trained"]
    told = {"recipe": str(named)} | {name: found[name] for name in ("rate", "rate_inside", "rates", "round", "dev")}
    told["begun"] = found["dev_before"]
    if as_json:
        result_json(told)
        return
    edge = "" if told["rate_inside"] else ", which is the last that was tried"
    how = f"learning rate {told['rate']:g}{edge}; round {told['round']}"
    if not told["rate"]:
        how = "no round was better than the start"
    result(f'"{named}"')
    result(f"dev score {told['dev']:.4f}, {told['begun']:.4f} before training ({how})")
