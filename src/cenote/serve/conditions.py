"""Conditions of strangers: as a collection takes them, without what makes gigabytes of a few characters.

Columns that a collection keeps for itself are none of theirs: `place` would tell which files this machine has.
"""

from __future__ import annotations

import re

from cenote.collection.attributes import INTERNAL
from cenote.collection.faults import FUNCTIONS, near_function
from cenote.collection.filters import check_nesting

_KEYWORDS = (*("and", "or", "not", "in", "is", "like", "ilike", "between"), *("case", "when", "then", "else", "escape"))
_NAME = r"(?:\"([^\"]*)\"|`([^`]*)`|([A-Za-z_]\w*))(?=\s*\()"
_TOKEN = re.compile(rf"'(?:[^']|'')*'|{_NAME}|\"[^\"]*\"|`[^`]*`|\w+|\|\||.", re.DOTALL)


def checked(where: str) -> str:
    """Return a condition.

    Raises ValueError for a function that is not among FUNCTIONS and for a column of the collection's own, naming them,
    for joining texts, and for more brackets in each other, or more of what doubles a condition, than are quickly read.
    """
    tokens = list(_TOKEN.finditer(where))
    check_nesting(token[0] for token in tokens)
    for token in tokens:
        if token[0].strip('"`').lower() in INTERNAL:
            raise ValueError(f"where names {token[0]}, which is no column of yours; /collection lists the attributes")
        name = next((one.lower() for one in token.groups() if one is not None), None)
        if name is not None and name not in FUNCTIONS + _KEYWORDS:
            raise ValueError(f"where calls {name}(…), which is not allowed here; {near_function(name)}")
        if token[0] == "||":
            raise ValueError("where joins texts with ||, which is not allowed here; compare them one by one")
    return where
