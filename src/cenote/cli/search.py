"""cenote search: questions in, documents out."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from cenote.cli.arguments import AsJson, Directory
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
    """Search a collection: with --json, one object a question."""
    from cenote.collection import open_collection

    questions = [line.rstrip("\n") for line in sys.stdin] if texts == ["-"] else texts
    with open_collection(directory) as opened:
        for n, question in enumerate(questions):
            began = time.perf_counter()
            hits = opened.search([question], k, where=where, passages=passages)[0]
            ms = 1000 * (time.perf_counter() - began)
            if as_json:
                result_json({"query": question, "hits": [hit.to_dict() for hit in hits], "ms": round(ms, 3)})
                continue
            if len(questions) > 1:
                result(f"{chr(10) if n else ''}{question}")
            for rank, hit in enumerate(hits, 1):
                _show(rank, hit)
            if not hits:
                TERMINAL.message("nothing was found")


def _show(rank: int, hit: Hit) -> None:
    page = f", page {hit.page}" if hit.page is not None else ""
    heading = f", {hit.heading}" if hit.heading else ""
    result(f"{rank:3}  {hit.score:.4f}  {hit.id}{page}{heading}")
    width = max(40, shutil.get_terminal_size().columns - 6)
    snippet = " ".join(hit.text.split())
    result(f"     {snippet if len(snippet) <= width else snippet[: width - 1] + '…'}")
