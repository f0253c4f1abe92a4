"""The user's attributes as typed columns.

Types are fixed by the first document that has a value; whole numbers widen to floats, also later. What fits no type,
or not the one its column has, keeps the document out, with the reason.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import Any

OWN = ("id", "source", "place", "key", "hash", "text", "pages", "headings")
"""The columns of a collection; a user's attribute of one of these names gets `_` behind."""
INTERNAL = ("place", "key", "hash", "pages", "headings")
"""Those of them that say nothing to a user's filter."""
VISIBLE = tuple(name for name in OWN if name not in INTERNAL)
"""Those that a user's filter may name: texts all of them."""
_WIDER = {("int64", "double"): "double", ("list<int64>", "list<double>"): "list<double>"}
_INT64 = 2**63


def column(name: str) -> str:
    """Return the column of an attribute: `_` behind our own names, and for marks that no name can be quoted with."""
    found = re.sub(r"[.`]", "_", str(name)).strip() or "_"
    return f"{found}_" if found.lower() in OWN or found.lower().startswith("_row") else found


def encodable(text: str) -> bool:
    """Return whether a text can be written: half of a surrogate pair is no character."""
    if max(text, default="") < "\ud800":
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(value: Any) -> Any:
    """Return a value as str, int, float, bool, None or a list of these; NaN and missing values as None.

    Raises TypeError for anything else.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        if any(isinstance(one, list | tuple) for one in value):
            raise TypeError("a list must hold texts, numbers or truth values, and holds a list")
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} is no text, number, truth value or list of these")


def type_of(value: Any) -> str | None:
    """Return the column type of a plain value, None where it has none (None, an empty list).

    Raises TypeError for a list of several types, ValueError for a whole number beyond 64 bits.
    """
    if isinstance(value, list):
        kinds = {type_of(one) for one in value} - {None}
        if kinds == {"int64", "double"}:
            kinds = {"double"}
        if len(kinds) > 1 or any(kind is not None and kind.startswith("list") for kind in kinds):
            raise TypeError("a list must hold values of one type")
        return f"list<{kinds.pop()}>" if kinds else None
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise ValueError(f"{value} does not fit 64 bits; store it as text")
        return "int64"
    return "double" if isinstance(value, float) else "string"


class Schema:
    """The columns seen so far and their types; grows as documents come."""

    def __init__(self, types: Mapping[str, str] | None = None) -> None:
        self.types: dict[str, str] = dict(types or {})

    def take(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document's values by column, and make room for new columns.

        Raises ValueError with the reason where a value does not fit; nothing is changed then.
        """
        found: dict[str, Any] = {}
        new: dict[str, str] = {}
        for name, given in attributes.items():
            where = self._known(column(name))
            try:
                value = plain(given)
                kind = type_of(value)
                texts = [name, *(value if isinstance(value, list) else [value])]
                if not all(encodable(text) for text in texts if isinstance(text, str)):
                    raise ValueError("it holds half of a surrogate pair, which is no character")
            except (TypeError, ValueError) as error:
                raise ValueError(f"attribute {name!r}: {error}") from None
            if where in found:
                raise ValueError(f"attribute {name!r} is given twice (columns do not tell capitals apart)")
            found[where] = value
            known = self.types.get(where)
            if kind is None or kind == known or (kind, known) in _WIDER:
                continue
            if known is not None and (known, kind) not in _WIDER:
                raise ValueError(f"attribute {name!r} is {kind} here, and {known} in the documents before")
            new[where] = kind
        self.types.update(new)
        return found

    def _known(self, where: str) -> str:
        """Return the column as it is spelt already: filters do not tell capitals apart."""
        return next((name for name in self.types if name.lower() == where.lower()), where)
