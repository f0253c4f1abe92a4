"""cenote check: what a source holds, before any work."""

from __future__ import annotations

from cenote.cli.arguments import AsJson, Limit, Recipe, Sources, Strict, TextColumn
from cenote.cli.index import DEFAULT
from cenote.cli.terminal import TERMINAL, Failed, plural, result, result_json


def check(
    sources: Sources,
    recipe: Recipe = DEFAULT,
    text_column: TextColumn = None,
    limit: Limit = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Say what is there, before any work: files, pages, scans, duplicates; and what a recipe would take."""
    from cenote.collection.foreseeing import foresee

    with TERMINAL.progress() as progress:
        found = foresee(sources, recipe, text_column=text_column, limit=limit, progress=progress)
    if as_json:
        result_json(found.to_dict())
    else:
        for line in found.lines():
            result(line)
        TERMINAL.skipped(found.skipped)
    if found.problem is not None:
        raise ValueError(found.problem)
    if strict and found.skipped:
        raise Failed(f"{plural(len(found.skipped), 'input')} would be skipped")
