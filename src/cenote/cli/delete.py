"""cenote delete: documents out of a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from cenote.cli.arguments import AsJson, Directory
from cenote.cli.terminal import Failed, plural, result, result_json

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Ids of documents.", show_default=False)]


def delete(directory: Directory, ids: Ids, as_json: AsJson = False) -> None:
    """Delete documents by id; none, when one of them is not there."""
    from cenote.collection import MissingDocuments, open_collection

    with open_collection(directory) as opened:
        try:
            count = opened.delete(ids)
        except MissingDocuments as missing:
            raise Failed(f"{missing}; nothing was deleted") from None
        if as_json:
            result_json({"deleted": count, "version": opened.version})
        else:
            result(f"{directory}: {plural(count, 'document')} deleted, {plural(len(opened), 'document')} left")
