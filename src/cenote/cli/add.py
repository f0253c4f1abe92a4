"""cenote add: more documents into a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cenote.cli.arguments import AsJson, Directory, Limit, Sources, Strict, TextColumn
from cenote.cli.terminal import TERMINAL, Failed, plural, result, result_json

if TYPE_CHECKING:
    from cenote.collection import Commit


def add(
    directory: Directory,
    sources: Sources,
    commit_every: Annotated[int, typer.Option(metavar="N", help="Make so many documents durable at a time.")] = 10_000,
    prune: Annotated[bool, typer.Option("--prune", help="Delete what is gone from the same sources.")] = False,
    text_column: TextColumn = None,
    limit: Limit = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Add documents; unchanged ones are skipped, changed ones replaced. With --json, a line after every commit."""
    from cenote.collection import open_collection

    def told(commit: Commit) -> None:
        if as_json:
            try:
                result_json({"committed": commit.committed, "version": commit.version, "last_id": commit.last_id})
            except BrokenPipeError:
                raise Failed("nobody reads the commits any more; run it again to add what is left") from None

    with open_collection(directory) as opened:
        try:
            with TERMINAL.progress() as progress:
                did = opened.add(
                    sources,
                    commit_every=commit_every,
                    prune=prune,
                    text_column=text_column,
                    limit=limit,
                    on_commit=told,
                    progress=progress,
                )
        except KeyboardInterrupt:
            raise KeyboardInterrupt("what was committed stays; run it again to add what is left") from None
        TERMINAL.skipped(did.skipped)
        if not as_json:
            counts = f"{did.added:,} added, {did.changed:,} changed, {did.unchanged:,} unchanged, {did.pruned:,} pruned"
            result(f"{directory}: {counts}; {plural(len(opened), 'document')} in version {did.version}")
    if strict and did.skipped:
        raise Failed(f"{plural(len(did.skipped), 'input')} had to be skipped")
