"""cenote compare: which recipe wins on one's own questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cenote.cli.arguments import AsJson, Qrels, Queries, Questions, TextColumn, complete_recipe, in_a_folder
from cenote.cli.terminal import TERMINAL, Failed, result, result_json, result_table

if TYPE_CHECKING:
    from cenote.measure.planning import Plan

RECIPES = "A recipe or grid; may be repeated. The first recipe is what differences are from."
TRAIN = "Of pairs or labels: train poolers with weights on the train split first."
MEASURES = "Of questions, what decides: ndcg_at_10, mrr_at_10, recall_at_10, recall_at_100 or map."
SEED = (
    "Of the resamples; of labels also which texts of a single file are classified, and which pick the strength of the "
    "classifier; of training the first weights, the order of the examples, and which of them score."
)


def compare(
    recipes: Annotated[
        list[str],
        typer.Option(
            "--with",
            "-w",
            metavar="R",
            help=RECIPES,
            autocompletion=complete_recipe,
        ),
    ],
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE|DIR…", help="Documents, or a collection.")
    ] = None,
    queries: Queries = None,
    qrels: Qrels = None,
    questions: Questions = None,
    pairs: Annotated[
        Path | None, typer.Option(metavar="F|DIR", help="In place of documents: two texts and how alike they are.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="F|DIR", help="In place of documents: texts and their classes.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="S", help="Of pairs or labels, what is asked: train, dev or test."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B[,C]", help="Of pairs or labels: the columns, by their names.")
    ] = None,
    train: Annotated[bool, typer.Option("--train", help=TRAIN)] = False,
    trained: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="As --train; keep the poolers here, and take those that are."),
    ] = None,
    margin: Annotated[float, typer.Option(help="What a recipe may lose to the best and still be as good.")] = 0.01,
    by: Annotated[str, typer.Option("--measure", help=MEASURES)] = "ndcg_at_10",
    keep: Annotated[Literal["best"] | None, typer.Option(help="Keep the winner's collection at --out.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR2", help="Where it is kept.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the frontier or the ranking: .png or .svg."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as csv.")] = None,
    runs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of questions: a TREC run for each recipe.")
    ] = None,
    seed: Annotated[int, typer.Option(help=SEED)] = 0,
    text_column: TextColumn = None,
    as_json: AsJson = False,
) -> None:
    """Build recipes over the same documents or texts, ask each the same, and say which differences are real."""
    from cenote.measure import compare as compared
    from cenote.recipe import left_out

    # what would fail at the end of a long comparison fails before it
    for file, option in ((plot, "--plot"), (csv, "--csv")):
        if file is not None:
            in_a_folder(file, option)
    if plot is not None and plot.suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"--plot is {plot}, and must end in .png or .svg")
    if (keep is None) != (out is None):
        raise ValueError("--keep best and --out, where the winner is kept, come together")
    texts = pairs is not None or labels is not None
    source = sources[0] if sources and len(sources) == 1 else sources
    if source is None and not texts:
        raise ValueError("documents are missing: name a source or a collection, or give --pairs or --labels")

    def planned(plan: Plan) -> None:
        TERMINAL.message(plan.sentence())
        for given in recipes:
            for reason, words in left_out(given, train=train or trained is not None).items():
                TERMINAL.message(f"left out of the grid, {reason}: {', '.join(words)}")

    said: dict[str, str] = {}
    with TERMINAL.progress() as progress:

        def told(phase: str, done: int, total: int | None, now: str) -> None:
            progress(phase, done, total)
            if TERMINAL.verbose and now and now != said.get(phase):
                said[phase] = now
                TERMINAL.message(f"{phase} {now}")

        found = compared(
            source,
            recipes=recipes,
            queries=queries,
            qrels=qrels,
            questions=questions,
            pairs=pairs,
            labels=labels,
            split=split,
            columns=None if columns is None else columns.split(","),
            train=train,
            trained=trained,
            margin=margin,
            measure=by,
            keep=keep,
            out=out,
            runs=runs,
            seed=seed,
            text_column=text_column,
            progress=told,
            planned=planned,
        )
    if as_json:
        result_json(found.to_dict())
    else:
        result(found.verdict)
        result("")
        result_table(found.table(ranked=texts))
    if csv is not None:
        found.to_csv(csv)
    if plot is not None and found.winner is not None:
        found.plot(plot)
        TERMINAL.message(f"the plot is in {plot}")
    if found.winner is None:
        raise Failed("no recipe ran")
