"""Metadata of frameworks as attributes of a collection, and back the same.

What fits a column is one, and can be filtered by. Nested values, empty ones and names that no column can have are kept
as JSON in the attribute `_metadata`. A text under `source` is the document's source.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cenote.collection import Hit
from cenote.collection.attributes import column, plain, type_of
from cenote.data.base import Document

KEPT = "_metadata"


def document(id: str, text: str, metadata: Mapping[str, Any]) -> Document:
    """Return a document with its metadata.

    Raises ValueError for metadata that is neither a column nor JSON, naming it; TypeError for a text that is none.
    """
    if not isinstance(text, str):
        raise TypeError(f"document {id!r} must have a text, not {type(text).__name__}")
    source = metadata.get("source")
    own = {"source"} if isinstance(source, str) and source else set()
    given = {name: value for name, value in metadata.items() if name not in own}
    attributes = columns(given)
    sharing = Counter(column(name).lower() for name in given)
    rest = {
        name: value
        for name, value in given.items()
        # a column of the same name, and of this name alone, says all there is to say
        if name not in attributes or name == KEPT or sharing[column(name).lower()] > 1
    }
    if rest:
        attributes[KEPT] = _json(rest, id)
    return Document(id, text, source=str(source) if own else "", attributes=attributes)


def columns(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of metadata fits a column, by the name of the column; the first of two that would share one."""
    found: dict[str, Any] = {}
    taken: set[str] = set()
    for name, given in metadata.items():
        try:
            value = plain(given)
            fits = type_of(value) is not None
        except (TypeError, ValueError):
            continue
        where = column(name)
        if fits and where.lower() not in taken:
            found[where] = value
            taken.add(where.lower())
    return found


def place(name: str) -> str:
    """Return the column that metadata of a name can be filtered by."""
    return "source" if name == "source" else column(name)


def metadata(found: Hit | Document) -> dict[str, Any]:
    """Return the metadata of a document as it was given; of others than `document` made, source and attributes."""
    rest: dict[str, Any] = json.loads(found.attributes.get(KEPT) or "{}")
    hidden = {KEPT, *(column(name).lower() for name in rest)}
    given = {
        name: value for name, value in found.attributes.items() if value is not None and name.lower() not in hidden
    }
    if found.source:
        given["source"] = found.source
    return given | rest


def _json(rest: Mapping[str, Any], id: str) -> str:
    for name, value in rest.items():
        try:
            json.dumps({name: _plain(value)})
        except (TypeError, ValueError):
            reason = f"metadata {name!r} of document {id!r} is {type(value).__name__}, which is no JSON"
            raise ValueError(f"{reason}; give texts, numbers, truth values, or lists and dicts of these") from None
    return json.dumps({name: _plain(value) for name, value in rest.items()}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A date or a number of numpy as JSON has it; all else as it is."""
    try:
        return plain(value)
    except TypeError:
        return value
