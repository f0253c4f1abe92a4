"""cenote reproduce: run the check of a paper's claim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cenote.cli.arguments import AsJson
from cenote.cli.terminal import TERMINAL, result, result_json, result_table

ALL = "all"


def _slugs(incomplete: str) -> list[str]:
    from cenote.claims.papers import papers

    return [slug for slug in (ALL, *(paper.slug for paper in papers())) if slug.startswith(incomplete)]


def reproduce(
    slug: Annotated[
        str, typer.Argument(metavar="SLUG", help="As `cenote papers` spells it, or all.", autocompletion=_slugs)
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The folder of datasets; default: CENOTE_DATA.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write it to the results of this installation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a paper's claim on real data, and say whether it shows; `all` checks every one that has a check."""
    from cenote.claims.papers import find, took
    from cenote.claims.papers import result as kept
    from cenote.claims.reproducing import checks
    from cenote.claims.reproducing import reproduce as run

    for one in checks() if slug == ALL else [slug]:
        before = kept(find(one).slug)
        if before is not None:
            TERMINAL.message(f"checking {one}: it took {took(before)} when its result was kept")
        found = run(one, data=data, keep=keep)
        if as_json:
            result_json(found)
        else:
            _show(found)


def _show(found: dict[str, Any]) -> None:
    result(f"{found['title']}\nclaim    {found['claim']}\nverdict  {found['verdict']}\n")
    rows = [
        (f["name"], f["data"], f"{f['value']:.4f}", "" if f["low"] is None else f"{f['low']:+.4f} to {f['high']:+.4f}")
        for f in found["figures"]
    ]
    result_table([("figure", "data", "value", "95 % interval"), *rows])
