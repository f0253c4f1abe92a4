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
    said = {None: "", True: "shows here", False: "does not show here"}
    table = [(f"{r.number}", r.status, r.slug, ", ".join(r.words), said[r.holds], r.title) for r in rows]
    result_table([("", "status", "slug", "words", "claim", "title"), *table])
    counts = ", ".join(f"{sum(r.status == s for r in rows)} {s}" for s in ("planned", "built", "checked"))
    TERMINAL.message(f"{len(rows)} papers: {counts}")
