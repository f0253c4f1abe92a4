"""cenote check: what a source holds, before any work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cenote.cli.arguments import AsJson, Limit, Recipe, Sources, Strict, TextColumn
from cenote.cli.index import DEFAULT
from cenote.cli.terminal import TERMINAL, Failed, plural, result, result_json, size

if TYPE_CHECKING:
    from cenote.collection.foreseeing import Foreseen

_SHOWN = 5


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
        for line in _lines(found):
            result(line)
        TERMINAL.skipped(found.skipped)
    if found.problem is not None:
        raise ValueError(found.problem)
    if strict and found.skipped:
        raise Failed(f"{plural(len(found.skipped), 'input')} would be skipped")


def _lines(found: Foreseen) -> Iterator[str]:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.files.items())
    yield f"{plural(found.documents, 'document')} ({kinds or 'none'}), {plural(found.characters, 'character')}"
    if found.pages:
        yield plural(found.pages, "page")
    for kind, count in found.skipped_by_kind.items():
        yield f"{count:,} to be skipped: {kind}"
    if found.empty:
        yield f"{plural(found.empty, 'document')} without text"
    if repeats := found.duplicates:
        shown = ", ".join(repeats[:_SHOWN]) + (", …" if len(repeats) > _SHOWN else "")
        many = f"{plural(len(repeats), 'document')} {'repeats' if len(repeats) == 1 else 'repeat'}"
        yield f"{many} the text of one before: {shown}"
    took = f"{found.minutes:.1f} minutes" if found.minutes >= 2 else plural(max(1, round(60 * found.minutes)), "second")
    amounts = f"{plural(found.tokens, 'token')}, {plural(found.passages, 'passage')}"
    yield f'"{found.recipe}": about {amounts}, {size(found.index_bytes)} of index, {took}'
