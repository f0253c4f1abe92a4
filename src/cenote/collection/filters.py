"""Conditions in SQL: checked to be one expression, and completed for tables that lack a column."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--|/\*|[A-Za-z_]\w*|[();'\"`]|.", re.DOTALL)
_NULLS = {"string": "STRING", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}


def with_nulls(where: str, lacking: Mapping[str, str]) -> str:
    """Return a condition in which every column of `lacking` (name: type) is NULL.

    Raises TypeError unless the condition is a str; ValueError for an empty one, and for anything that ends the
    expression: a `;`, a comment, a bracket or quote without its partner.
    """
    if not isinstance(where, str):
        raise TypeError(f"where must be a condition in SQL, such as \"source like '%.md'\", not {where!r}")
    if not where.strip():
        raise ValueError("where is empty; give a condition such as \"source like '%.md'\", or leave it out")
    folded = {name.lower(): kind for name, kind in lacking.items()}
    out, depth = [], 0
    for token in _TOKEN.findall(where):
        depth += (token == "(") - (token == ")")
        if depth < 0 or token in (";", "--", "/*", "'", '"', "`"):
            raise ValueError(f"where={where!r} is no single condition: {token!r} ends it; balance brackets and quotes")
        name = token[1:-1] if token.startswith("`") and len(token) > 1 else token
        out.append(_null(folded[name.lower()]) if name.lower() in folded else token)
    if depth:
        raise ValueError(f"where={where!r} is no single condition: a bracket is not closed")
    return "".join(out)


def _null(kind: str) -> str:
    if kind.startswith("list<"):
        return f"CAST(NULL AS ARRAY<{_NULLS[kind[5:-1]]}>)"
    return f"CAST(NULL AS {_NULLS[kind]})"
