"""cenote compact: merge segments, leave dead documents behind."""

from __future__ import annotations

from cenote.cli.arguments import AsJson, Directory
from cenote.cli.terminal import plural, result, result_json, size


def compact(directory: Directory, as_json: AsJson = False) -> None:
    """Merge the segments of a collection; it does so by itself when that is due."""
    from cenote.collection import open_collection

    with open_collection(directory) as opened:
        info = opened.compact()
    if as_json:
        result_json(info.to_dict())
    else:
        result(f"{directory}: {plural(info.segments, 'segment')}, {size(info.bytes['disk'])} on disk")
