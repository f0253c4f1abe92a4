"""Conditions of strangers: as a collection takes them, without what makes gigabytes of a few characters."""

from __future__ import annotations

import re

# what texts, numbers and lists are compared by; repeat, rpad, replace and their like are left out
FUNCTIONS = (
    *("abs", "array_contains", "array_has", "array_has_all", "array_has_any", "array_length", "btrim", "cast", "ceil"),
    *("char_length", "coalesce", "contains", "date_part", "ends_with", "floor", "length", "lower", "ltrim", "nullif"),
    *("regexp_like", "regexp_match", "round", "rtrim", "starts_with", "strpos", "substr", "trim", "try_cast", "upper"),
)
_KEYWORDS = (*("and", "or", "not", "in", "is", "like", "ilike", "between"), *("case", "when", "then", "else", "escape"))
_NAME = r"(?:\"([^\"]*)\"|`([^`]*)`|([A-Za-z_]\w*))(?=\s*\()"
_TOKEN = re.compile(rf"'(?:[^']|'')*'|{_NAME}|\"[^\"]*\"|`[^`]*`|\w+|\|\||.", re.DOTALL)


def checked(where: str) -> str:
    """Return a condition.

    Raises ValueError for a function that is not among FUNCTIONS, naming it, and for joining texts.
    """
    for token in _TOKEN.finditer(where):
        name = next((one.lower() for one in token.groups() if one is not None), None)
        if name is not None and name not in FUNCTIONS + _KEYWORDS:
            raise ValueError(f"where calls {name}(…), which is not allowed here; there are {', '.join(FUNCTIONS)}")
        if token[0] == "||":
            raise ValueError("where joins texts with ||, which is not allowed here; compare them one by one")
    return where
