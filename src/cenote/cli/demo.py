"""cenote demo: index, search and compare on the documentation of this Python, without a download."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.docstrings import Docstring, collect, known_items
from cenote.cli.terminal import TERMINAL, result, result_table

DOCUMENTS, KNOWN_ITEMS = 4_000, 200
RECIPE = "wordllama | float8 | flat"
RECIPES = ("minilm | flat", "minilm | float8 | flat", "wordllama | float8 | flat")
QUESTIONS = (
    "how do I parse a date from a string",
    "read a csv file row by row",
    "run a command in a subprocess and capture its output",
    "make a temporary directory that is removed afterwards",
    "sort a list and keep it sorted while inserting",
    "compress a file with gzip",
    "send an email",
    "measure how long a piece of code takes",
    "cache the results of a function",
    "match a regular expression against a string",
    "download a web page",
    "store python objects as json",
)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where everything goes.")] = Path(
        "cenote-demo"
    ),
    documents: Annotated[int, typer.Option(metavar="N", help="How many documents.")] = DOCUMENTS,
) -> None:
    """Index the docstrings of this Python, ask them a dozen questions, and compare three recipes on known answers."""
    import cenote

    if documents < 2 * KNOWN_ITEMS:
        raise ValueError(f"--documents is {documents}, and at least {2 * KNOWN_ITEMS} are needed")
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    TERMINAL.message("reading the docstrings of the standard library and the installed packages …")
    found = collect(documents)
    rows = [{"id": one.name, "text": one.text, "file": str(one.file)} for one in found]
    place = out / "docs.cenote"
    with TERMINAL.progress() as progress:
        docs = cenote.create(place, rows, RECIPE, replace=True, progress=progress)
    took = time.perf_counter() - began
    with docs:
        info = docs.info()
        result(f'{info.documents:,} documents read and indexed in {took:.1f} s with "{RECIPE}"')
        result(f"{info.bytes_per_document:,.0f} bytes a document; the collection is {place}\n")
        hits = docs.search(QUESTIONS, k=1)
        answers = [(question, hit[0].id) for question, hit in zip(QUESTIONS, hits, strict=True)]
        result_table([("question", "first answer"), *answers])
    _compare(out, found)
    result(f'\nask more: cenote search {place} "how do I …"')


def _compare(out: Path, found: list[Docstring]) -> None:
    """Ask the first line of a docstring for the docstring it headed."""
    import cenote

    asked = {one.name for one in known_items(found, KNOWN_ITEMS)}
    corpus = [{"id": one.name, "text": one.body if one.name in asked else one.text} for one in found]
    queries, qrels = out / "queries.jsonl", out / "qrels.tsv"
    with queries.open("w") as file:
        for one in found:
            if one.name in asked:
                file.write(json.dumps({"_id": one.name, "text": one.summary}) + "\n")
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{name}\t{name}\t1\n" for name in sorted(asked)))
    TERMINAL.message(f"comparing {len(RECIPES)} recipes on {len(asked)} questions with a known answer …")
    with TERMINAL.progress() as progress:
        table = cenote.compare(
            corpus,
            recipes=RECIPES,
            queries=queries,
            qrels=qrels,
            progress=lambda phase, done, total, now: progress(phase, done, total),
        )
    result(f"\n{len(asked)} questions: the first line of a docstring must find the rest of it, without its name\n")
    result("\n".join(_wrapped(table.verdict)) + "\n")
    result_table(table.table())
    plot = out / "frontier.png"
    table.plot(plot)
    result(f"\nthe plot is {plot}")


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(60, min(100, shutil.get_terminal_size().columns)))
