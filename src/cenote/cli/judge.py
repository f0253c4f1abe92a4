"""cenote judge: grade what several recipes find, blind, and see what the grades say."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.arguments import Directory, complete_recipe
from cenote.cli.serve import installed
from cenote.cli.terminal import TERMINAL, plural, result

HOST = "127.0.0.1"


def judge(
    directory: Directory,
    questions: Annotated[Path, typer.Option(metavar="F", help="Questions: .txt with one a line, .jsonl, .tsv, .csv.")],
    recipes: Annotated[
        list[str], typer.Option("--with", "-w", metavar="R", help="A recipe or grid.", autocompletion=complete_recipe)
    ],
    k: Annotated[int, typer.Option("-k", "--k", min=10, max=100, help="How many of each recipe are judged.")] = 10,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the judgements go.")] = Path(
        "judged"
    ),
    margin: Annotated[float, typer.Option(help="What a recipe may lose and still be as good.")] = 0.01,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")] = 8000,
) -> None:
    """Pool what recipes find, show it in a browser without saying who found it, and write judgements for compare."""
    installed()
    from cenote.collection import open_collection
    from cenote.serve.judge_asgi import judge_application
    from cenote.serve.judging import QRELS, QUERIES, Judging, questions_of, ranked
    from cenote.serve.running import bound, listen

    asked = questions_of(questions)
    with bound(HOST, port) as listening, tempfile.TemporaryDirectory(prefix="cenote-judge-") as place:
        with open_collection(directory) as opened, TERMINAL.progress() as progress:
            found = ranked(
                opened, recipes, asked, k, Path(place), lambda done, total: progress("comparing", done, total)
            )
        for one in found:
            if one.error is not None:
                TERMINAL.message(f'"{one.recipe}" did not run: {one.error}')
        if all(one.error is not None for one in found):
            raise ValueError("no recipe ran, so there is nothing to judge")
        judging = Judging(asked, found, out, margin=margin)
        pooled = sum(map(len, judging.pools.values()))

        def ready(address: str) -> None:
            waiting = f"{plural(pooled, 'document')} for {plural(len(asked), 'question')}"
            TERMINAL.message(f"judge {waiting} at {address} (end with Ctrl-C; what is judged is kept)")

        try:
            listen(judge_application(judging), listening, HOST, ready)
        except KeyboardInterrupt:
            pass  # the usual end of judging, and nothing is lost
    result(judging.verdict())
    named = " ".join(f"--with {shlex.quote(recipe)}" for recipe in recipes)
    files = f"--queries {shlex.quote(str(out / QUERIES))} --qrels {shlex.quote(str(out / QRELS))}"
    result(f"cenote compare {shlex.quote(str(directory))} {files} {named}")
