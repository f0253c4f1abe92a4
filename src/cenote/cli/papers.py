"""cenote papers: what is planned, built and checked."""

from __future__ import annotations

from cenote.cli.arguments import AsJson
from cenote.cli.terminal import TERMINAL, result_json, result_table


def papers(as_json: AsJson = False) -> None:
    """List the papers: which are built, under which words, and whether their claims were checked."""
    from cenote.claims.papers import papers as listed

    rows = listed()
    if as_json:
        result_json([row.to_dict() for row in rows])
        return
    said = {None: "not decided here", True: "shows here", False: "does not show here"}
    claims = [said[row.holds] if row.status == "checked" else "" for row in rows]
    table = [
        (f"{row.number}", row.status, claim, row.slug, row.title, ", ".join(row.words))
        for row, claim in zip(rows, claims, strict=True)
    ]
    result_table([("", "state", "claim", "slug", "title", "words"), *table])
    counts = ", ".join(f"{sum(r.status == s for r in rows)} {s}" for s in ("planned", "built", "checked"))
    TERMINAL.message(f"{len(rows)} papers: {counts}")
