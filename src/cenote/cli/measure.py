"""cenote measure: how well a collection finds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.arguments import AsJson, Directory, Qrels, Queries, Questions, in_a_folder
from cenote.cli.terminal import TERMINAL, result_json, result_table


def measure(
    directory: Directory,
    queries: Queries = None,
    qrels: Qrels = None,
    questions: Questions = None,
    run_out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rankings as a TREC run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a collection on judged questions: --queries with --qrels, or --questions."""
    from cenote.collection import open_collection
    from cenote.measure import measure as measured
    from cenote.measure.retrieval import RetrievalTask

    if run_out is not None:
        in_a_folder(run_out, "--run-out")
    task = RetrievalTask.read(queries=queries, qrels=qrels, questions=questions)
    done = 0
    with open_collection(directory) as opened, TERMINAL.progress() as progress:

        def count(more: int) -> None:
            nonlocal done
            done += more
            progress("asking", done, len(task))

        found = measured(opened, task, run_out=run_out, progress=count)
    if as_json:
        result_json(found)
    else:
        rows = [(name, f"{value:.4f}" if isinstance(value, float) else f"{value}") for name, value in found.items()]
        result_table([("measure", "value"), *rows])
