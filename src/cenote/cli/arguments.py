"""Arguments that several commands take, described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cenote import registry


def complete_recipe(incomplete: str) -> list[str]:
    """Complete the word after the last mark of a recipe."""
    start = max(incomplete.rfind(mark) for mark in "|({,") + 1
    start += len(incomplete[start:]) - len(incomplete[start:].lstrip())
    head, word = incomplete[:start], incomplete[start:]
    return [
        head + row.word for row in registry.rows() if row.built and row.kind in _KINDS and row.word.startswith(word)
    ]


def in_a_folder(path: Path, option: str) -> Path:
    """Return where an option says a file goes, found out before any work that it can.

    Raises ValueError where there is no folder for it.
    """
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option} is {path}, and there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ValueError(f"{option} is {path}, which is a folder; name a file in it")
    return path


_KINDS = registry.STAGE_KINDS

Directory = Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="A collection.", show_default=False)]
Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE…", help="Files, folders or patterns.", show_default=False)
]
Recipe = Annotated[str, typer.Option("--recipe", "-r", help="What to build.", autocompletion=complete_recipe)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 when something had to be skipped.")]
TextColumn = Annotated[str | None, typer.Option("--text-column", metavar="C", help="The column that holds the text.")]
Ray = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Work on a Ray cluster: host:port, auto, or local for this machine."),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="Read at most N documents.")]
Queries = Annotated[Path | None, typer.Option("--queries", help="Questions, as BEIR or TREC files have them.")]
Qrels = Annotated[Path | None, typer.Option("--qrels", help="Judgements, as BEIR or TREC files have them.")]
Questions = Annotated[
    Path | None, typer.Option("--questions", help="A spreadsheet with the columns question and document.")
]
