"""cenote reindex: another recipe over the same documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.arguments import AsJson, Directory, complete_recipe
from cenote.cli.index import report
from cenote.cli.terminal import TERMINAL


def reindex(
    directory: Directory,
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="What to build.", autocompletion=complete_recipe)],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR2", help="A new collection instead.")] = None,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="What may be held at once.")] = "2GiB",
    as_json: AsJson = False,
) -> None:
    """Build another recipe from the stored documents; the old one serves until the new one is complete."""
    from cenote.collection import open_collection

    with open_collection(directory) as opened:
        try:
            with TERMINAL.progress() as progress:
                made = opened.reindex(recipe, out, memory=memory, progress=progress)
        except KeyboardInterrupt:
            kept = "the collection is as it was" if out is None else "run the same command again to go on"
            raise KeyboardInterrupt(kept) from None
        with made:
            report(made, as_json=as_json)
