"""cenote get: documents by id."""

from __future__ import annotations

from dataclasses import asdict

from cenote.cli.arguments import AsJson, Directory
from cenote.cli.delete import Ids
from cenote.cli.terminal import Failed, result, result_json


def get(directory: Directory, ids: Ids, as_json: AsJson = False) -> None:
    """Print documents: with --json, one object a line. Those that are not there are named, with exit code 1."""
    from cenote.collection import MissingDocuments, open_collection

    with open_collection(directory) as opened:
        missing: MissingDocuments | None = None
        try:
            found = opened.get(ids)
        except MissingDocuments as error:
            missing = error
            found = opened.get([id for id in ids if id not in error.ids])
    for document in found:
        if as_json:
            result_json(asdict(document))
        else:
            result(document.text)
    if missing is not None:
        raise Failed(str(missing))
