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
    epochs: Annotated[int, typer.Option(min=1, help="At most, for each learning rate.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the first weights and the order.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train the pooler of a recipe on the train split; the learning rate and the epoch are picked on dev."""
    from cenote.errors import RecipeError
    from cenote.measure.comparing_texts import classes_lesson, pairs_lesson
    from cenote.measure.training import train_recipe
    from cenote.recipe import parse
    from cenote.train.pooler import Budget

    if (pairs is None) == (labels is None):
        raise ValueError("give one of --pairs and --labels: what the pooler learns from")
    if out.exists():
        raise ValueError(f"--out is {out}, which exists; name a place that does not")
    lesson = pairs_lesson(pairs) if pairs is not None else classes_lesson(str(labels), seed)
    parsed = parse(recipe)
    with TERMINAL.progress() as progress:
        done = train_recipe(
            parsed,
            lesson,
            out,
            budget=Budget(epochs=epochs),
            seed=seed,
            progress=lambda epoch, most: progress("training", epoch, most),
        )
    if done is None:
        raise RecipeError(
            "no stage of this recipe has weights to train; name a pooler that does", recipe, 0, len(recipe)
        )
    named, found = done
    told = {"recipe": str(named), "rate": found.rate, "epoch": found.epoch, "dev": found.score, "begun": found.begun}
    if as_json:
        result_json(told)
        return
    how = f"learning rate {found.rate:g}, epoch {found.epoch}" if found.rate else "no epoch was better than the start"
    result(f'"{named}"')
    result(f"dev score {found.score:.4f}, {found.begun:.4f} before training ({how})")
