"""Conditions in SQL: checked to be one expression, and fitted to tables written before a column came or widened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from cenote.collection.attributes import INTERNAL, VISIBLE
from cenote.collection.faults import shown

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--|/\*|[A-Za-z_]\w*|[();'\"`]|.", re.DOTALL)
_OPERATORS = frozenset((*"+-*/%<>=!|&^~:[", "and", "or", "not", "is", "in", "like", "ilike", "between", "case", "when"))
MOST_OPERATORS, MOST_BRACKETS = 400, 20
"""Lance evaluates a condition by calls within calls: some 900 operators in a row end the process."""
DOUBLING, MOST_DOUBLING = ("between", "coalesce"), 8
"""Lance writes what stands in front of one, or in it, twice: thirty in each other are a billion terms."""
_TOO_MUCH = (
    f"where holds more than {MOST_OPERATORS} operators, or than {MOST_BRACKETS} brackets in each other; "
    "many values are shorter as `column in (…)`"
)
_COMPARES = re.compile(r"\s*(?:[=<>!]|(?:not\s+)?(?:i?like|in|between)\b|is\b)", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`")
_PLACEHOLDER = re.compile(r"\$\w*|\?|(?<![:\w\])]):\w+")
"""Lance knows these and ends its own thread over them, with a trace on stderr."""
_TYPES = {"string": "STRING", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}


def fitted(where: str, types: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return a condition for a table with the columns `here`, where the collection has those of `types` (name: type).

    A column that is not here is NULL, and one that is narrower is cast. Raises TypeError unless the condition is a str;
    ValueError for an empty one, and for anything that ends the expression: a `;`, a comment, a bracket or quote without
    its partner; for a column in double quotes, which make a text of it; for a value to be given elsewhere, as `?`; and
    for more operators, or more brackets in each other, than Lance can take.
    """
    if not isinstance(where, str):
        raise TypeError(f"where must be a condition in SQL, such as \"source like '%.md'\", not {where!r}")
    if not where.strip():
        raise ValueError("where is empty; give a condition such as \"source like '%.md'\", or leave it out")
    stands_for = {
        name.lower(): f"CAST({f'`{name}`' if name in here else 'NULL'} AS {_sql(kind)})"
        for name, kind in types.items()
        if here.get(name) != kind
    }
    tokens = _TOKEN.findall(where)
    check_nesting(tokens)
    if sum(token.lower() in _OPERATORS for token in tokens) > MOST_OPERATORS:
        raise ValueError(_TOO_MUCH)
    out, depth = list[str](), 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if depth < 0 or token in (";", "--", "/*", "'", '"', "`"):
            raise ValueError(
                f"where={shown(where)} is no single condition: {token!r} ends it; balance brackets and quotes"
            )
        name = token[1:-1] if token.startswith("`") and len(token) > 1 else token
        if name.lower() in INTERNAL:
            raise ValueError(
                f"where names {token}, which a collection keeps for itself; `cenote info` lists attributes"
            )
        # what follows a dot is a part of what is before it, and no column
        out.append(token if out[-1:] == ["."] else stands_for.get(name.lower(), token))
    if depth:
        raise ValueError(f"where={shown(where)} is no single condition: a bracket is not closed")
    _check_quotes(tokens, types)
    if found := _PLACEHOLDER.search(_QUOTED.sub("''", where)):
        raise ValueError(f"where holds {found[0]}, which stands for a value given elsewhere; write the value itself")
    return "".join(out)


def check_nesting(tokens: Iterable[str]) -> None:
    """Raise ValueError for more brackets in each other, or more of what doubles a condition, than are quickly read."""
    depth = doubling = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        doubling += token.strip('"`').lower() in DOUBLING
        if depth > MOST_BRACKETS:
            raise ValueError(_TOO_MUCH)
        if doubling > MOST_DOUBLING:
            names = " or ".join(DOUBLING)
            raise ValueError(f"where holds {names} more than {MOST_DOUBLING} times; compare with >= and <= instead")


def _check_quotes(tokens: Sequence[str], types: Mapping[str, str]) -> None:
    """Raise ValueError where a column stands in double quotes before a comparison: nothing would be found."""
    names = {name.lower() for name in (*VISIBLE, *types)}
    for n, token in enumerate(tokens):
        name = token[1:-1]
        if token.startswith('"') and name.lower() in names and _COMPARES.match("".join(tokens[n + 1 :])):
            raise ValueError(f"where compares the text {token}; the column is written {name}, or `{name}`")


def _sql(kind: str) -> str:
    return f"ARRAY<{_TYPES[kind[5:-1]]}>" if kind.startswith("list<") else _TYPES[kind]
