"""cenote search: questions in, documents out."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cenote.cli.arguments import AsJson, Directory
from cenote.cli.lines import lines
from cenote.cli.snippet import emphasised, snippet
from cenote.cli.terminal import TERMINAL, result, result_json

if TYPE_CHECKING:
    from cenote.collection import Hit


def search(
    directory: Directory,
    texts: Annotated[list[str], typer.Argument(metavar="TEXT…", help="Questions; - reads one a line from stdin.")],
    k: Annotated[int, typer.Option("-k", "--k", help="How many documents.")] = 10,
    where: Annotated[str | None, typer.Option(metavar="SQL", help="Only documents for which this holds.")] = None,
    passages: Annotated[bool, typer.Option("--passages", help="The nearest passages, not documents.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search a collection: with --json, one object a question. Questions from stdin are answered as they come.

    Of a passage that is long the part is shown where the question's words stand; --json gives it whole.
    """
    from cenote.collection import open_collection

    piped = texts == ["-"]
    questions = _asked(lines("-")) if piped else list(_asked(texts))
    with open_collection(directory) as opened:
        if as_json:
            opened.search("…", 1)  # or the time of the first question would be that of loading the model
        for n, question in enumerate(questions):
            began = time.perf_counter()
            hits = opened.search([question], k, where=where, passages=passages)[0]
            ms = 1000 * (time.perf_counter() - began)
            if as_json:
                result_json({"query": question, "hits": [hit.to_dict() for hit in hits], "ms": round(ms, 3)})
                continue
            if piped or len(texts) > 1:
                result(f"{chr(10) if n else ''}{question}")
            for rank, hit in enumerate(hits, 1):
                _show(rank, hit, question)
            if not hits:
                TERMINAL.message("nothing was found")


def _asked(texts: Iterable[str]) -> Iterator[str]:
    for n, text in enumerate(texts, 1):
        if not text.strip():
            raise ValueError(f"question {n} is empty; ask something")
        if any("\ud800" <= character <= "\udfff" for character in text):  # what bytes that are no text become
            raise ValueError(f"question {n} is not UTF-8; convert it first")
        yield text


def _show(rank: int, hit: Hit, question: str) -> None:
    page = f", page {hit.page}" if hit.page is not None else ""
    heading = f", {hit.heading}" if hit.heading else ""
    result(f"{rank:3}  {hit.score:.4f}  {hit.id}{page}{heading}")
    width = max(40, shutil.get_terminal_size().columns - 6)
    for line in textwrap.wrap(snippet(hit.text, question), width, break_on_hyphens=False):
        result(f"     {emphasised(line, question, *TERMINAL.bold)}")
