"""cenote train: fit the pooler of a recipe on texts of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.arguments import AsJson, complete_recipe
from cenote.cli.terminal import TERMINAL, result, result_json

SEED = "Of the first weights, the order of the examples, and which of them score."


def train(
    recipe: Annotated[
        str,
        typer.Option("--recipe", "-r", help="An encoder and the pooler to train.", autocompletion=complete_recipe),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Where the run goes.")],
    pairs: Annotated[
        Path | None, typer.Option(metavar="F|DIR", help="Learn from two texts and how alike they are.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(metavar="F|DIR", help="Learn from texts and their classes.")] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B[,C]", help="The columns of what is learnt from, by their names.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="Of 2,048 examples each, at most, with the learning rate that is picked.")
    ] = 10,
    seed: Annotated[int, typer.Option(help=SEED)] = 0,
    as_json: AsJson = False,
) -> None:
    """Train the pooler of a recipe; the learning rate and the round are picked on dev.

    Learnt from is the train split of what is named, or a file that is no split; what was interrupted goes on.
    """
    from cenote.errors import RecipeError
    from cenote.measure.annotated import read_labelled, read_pairs
    from cenote.measure.comparing_texts import lesson as lesson_of
    from cenote.measure.training import School, trainable, without
    from cenote.recipe import Chain, parse
    from cenote.train.pooler import Budget

    if (pairs is None) == (labels is None):
        raise ValueError("give one of --pairs and --labels: what the pooler learns from")
    if out.exists():
        raise ValueError(f"--out is {out}, which exists; name a place that does not")
    named = None if columns is None else columns.split(",")
    if pairs is not None:
        lesson = lesson_of(pairs, lambda file: read_pairs(file, named))
    else:
        lesson = lesson_of(str(labels), lambda file: read_labelled(file, named))
    parsed = parse(recipe)
    stage = trainable(parsed)
    if stage is None:
        reason = "no stage of this recipe has weights to train; name a pooler that does"
        raise RecipeError(reason, recipe, 0, len(recipe))
    school = School(Chain(without(parsed, stage)).encoder, lesson, budget=Budget(rounds=rounds), seed=seed)
    with TERMINAL.progress() as progress:
        done = school.train(parsed, out, lambda round, most: progress("training", round, most))
    assert done is not None
    trained, run = done
    found = run.told["trained"]
    told = {"recipe": str(trained)} | {name: found[name] for name in ("rate", "rate_inside", "rates", "round", "dev")}
    told["begun"] = found["dev_before"]
    if as_json:
        result_json(told)
        return
    edge = "" if told["rate_inside"] else ", which is the last that was tried"
    how = f"learning rate {told['rate']:g}{edge}; round {told['round']}"
    if not told["rate"]:
        how = "no round was better than the start"
    result(f'"{trained}"')
    result(f"dev score {told['dev']:.4f}, {told['begun']:.4f} before training ({how})")
