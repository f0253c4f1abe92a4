"""cenote index: documents in, a collection out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cenote.cli.arguments import AsJson, Limit, Ray, Recipe, Sources, Strict, TextColumn
from cenote.cli.terminal import TERMINAL, Failed, plural, result, result_json, size

if TYPE_CHECKING:
    from cenote.collection import Collection

DEFAULT = "passages 256 | minilm | float8 | flat"


def index(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the collection goes.")],
    recipe: Recipe = DEFAULT,
    limit: Limit = None,
    text_column: TextColumn = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the collection that is there.")] = False,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="What may be held at once.")] = "2GiB",
    strict: Strict = False,
    ray: Ray = None,
    as_json: AsJson = False,
) -> None:
    """Index documents: read, encode and store them as a collection. Run again to resume one that was interrupted."""
    from cenote.collection import create

    try:
        with TERMINAL.progress() as progress:
            made = create(
                out,
                sources,
                recipe,
                limit=limit,
                text_column=text_column,
                replace=replace,
                memory=memory,
                progress=progress,
                ray=ray,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("run the same command again to go on") from None
    with made:
        report(made, as_json=as_json)
        if strict and made.report is not None and made.report.skipped:
            raise Failed(f"{plural(len(made.report.skipped), 'input')} had to be skipped")


def report(made: Collection, *, as_json: bool) -> None:
    """Say what was built."""
    info, did = made.info(), made.report
    if did is not None:
        if did.resumed:
            TERMINAL.message("went on where the interrupted build stopped")
        TERMINAL.skipped(did.skipped)
    if info.cut_tokens:
        lost = f"{info.cut_tokens:,} tokens of {plural(info.cut_texts, 'text')}"
        TERMINAL.message(f"{lost} lie beyond the model's window and are not indexed; `passages 256 | …` keeps them")
    if info.empty_texts:
        held = f"{plural(info.empty_texts, 'text holds', 'texts hold')} no token the model reads"
        TERMINAL.message(f"{held}; they are found by chance only")
    if as_json:
        result_json(info.to_dict() | {"skipped": 0 if did is None else len(did.skipped)})
        return
    held = f"{plural(info.documents, 'document')}, {plural(info.passages, 'passage')}"
    result(f"{info.path}: {held}, {info.bytes_per_document:,.0f} bytes a document, {size(info.bytes['disk'])} on disk")
