"""cenote reproduce: run the check of a paper's claim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cenote.cli.arguments import AsJson
from cenote.cli.terminal import result, result_json, result_table


def _slugs(incomplete: str) -> list[str]:
    from cenote.claims.papers import papers

    return [paper.slug for paper in papers() if paper.slug.startswith(incomplete)]


def reproduce(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="As `cenote papers` spells it.", autocompletion=_slugs)],
    data: Annotated[Path | None, typer.Option(help="The folder of datasets; default: CENOTE_DATA.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write it to the results of this installation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a paper's claim on real data, and say whether it shows."""
    from cenote.claims.reproducing import reproduce as run

    found = run(slug, data=data, keep=keep)
    if as_json:
        result_json(found)
        return
    result(f"{found['title']}\nclaim    {found['claim']}\nverdict  {found['verdict']}\n")
    rows = [
        (f["name"], f["data"], f"{f['value']:.4f}", "" if f["low"] is None else f"{f['low']:+.4f} to {f['high']:+.4f}")
        for f in found["figures"]
    ]
    result_table([("figure", "data", "value", "95 % interval"), *rows])
