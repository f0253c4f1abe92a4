"""What is wrong with a condition, in a sentence: what was given, what there is, and what is nearest to it.

Lance says it in the words of its own parser and of its types; what it says is read here, and anything else it says is
passed on, shortened, with what the columns named hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cenote.registry import nearest

FUNCTIONS = (
    *("abs", "array_contains", "array_has", "array_has_all", "array_has_any", "array_length", "btrim", "cast", "ceil"),
    *("char_length", "coalesce", "contains", "date_part", "ends_with", "floor", "length", "lower", "ltrim", "nullif"),
    *("regexp_like", "regexp_match", "round", "rtrim", "starts_with", "strpos", "substr", "trim", "try_cast", "upper"),
)
"""What texts, numbers and lists are compared by: those that are named as near, and all that the server allows.

`repeat`, `rpad`, `replace` and their like stay out: they make texts of any length.
"""
_MOST_NAMES, _MOST_SHOWN = 30, 200
_HOLDS = {"string": "texts", "int64": "whole numbers", "double": "numbers", "bool": "truth values"}
_ARROW = {
    "Utf8": "text",
    "Int64": "whole number",
    "Int32": "whole number",
    "Float64": "number",
    "Boolean": "true/false",
}
_ARROW_NAME = re.compile(rf"\b(?:{'|'.join(_ARROW)})\b")
_TYPES = {"Utf8": "string", "Int64": "int64", "Float64": "double", "Boolean": "bool"}
_FIELD = re.compile(r"No field named (\"[^\"]*\"|\S+?)\.(?:\s|$)")
_FUNCTION = re.compile(r"Invalid function '([^']*)'")
_LITERAL = re.compile(r"Received literal \w+\((.*)\) and could not convert to literal of type '(\w+)")
_SYNTAX = re.compile(r"sql parser error: Expected: (.*), found: (.*?)\)?$", re.DOTALL)
_NO_CONDITION = re.compile(r"The filter (.*) does not return a boolean", re.DOTALL)
_LAYERS = re.compile(r"(?:[\w()]*(?:[Ee]rror|input)|Error during planning|LanceError\(\w+\)): ")
_MIXED = re.compile(r"There isn't a common type to coerce (.*) and (.*) in (\w+) expression")
_CAST = re.compile(r"Cannot cast string ('.*') to value of (\w+) type")
_UNSUPPORTED = re.compile(r"Expression '(.*)' is not supported SQL", re.DOTALL)


def fault(where: str, said: str, types: Mapping[str, str]) -> str:
    """Return what is wrong with a condition, given what Lance said and the columns there are (name: type)."""
    return f"where={shown(where)} is no condition here: {_reason(where, said, types)}"


def shown(where: str) -> str:
    """Return a condition in quotes, cut where it is long."""
    return repr(where if len(where) <= _MOST_SHOWN else where[:_MOST_SHOWN] + "…")


def near_function(name: str) -> str:
    """Return the function nearest to a name that none has, or where nothing is like it all there are."""
    close = nearest(name, FUNCTIONS)
    return f"nearest: `{close}`" if close else f"there are {', '.join(FUNCTIONS)}"


def _reason(where: str, said: str, types: Mapping[str, str]) -> str:
    if found := _FIELD.search(said):
        return _unknown_column(where, found[1].strip('"'), types)
    if found := _FUNCTION.search(said):
        return f"no function `{found[1]}`; {near_function(found[1])}"
    if found := _LITERAL.search(said):
        return _wrong_type(where, found[1], found[2], types)
    if found := _SYNTAX.search(said):
        return _wrong_mark(where, found[1], found[2])
    if found := _NO_CONDITION.search(said):
        return "this is a value; compare it, as in `year > 2000`"
    if found := _UNSUPPORTED.search(said):
        return f"`{found[1]}` is SQL that filters here cannot evaluate; write it otherwise"
    if "Unsupported data type" in said:
        return "there is no such type; cast to string, bigint, double or boolean"
    if "Physical plan does not support" in said:
        return "a condition is about one document; it cannot count or number them"
    plain = _LAYERS.split(said.split("\n) (")[-1])[-1]
    plain = " ".join(re.split(r"\.* No function matches|\n\s*Candidate| \(DataType", plain)[0].split())
    plain = _CAST.sub(r"\1 is no \2", plain)
    plain = _MIXED.sub(r"\3 cannot compare \1 and \2", plain)
    plain = _ARROW_NAME.sub(lambda match: _ARROW[match[0]], plain)
    held = _held(_named(where, types), types)
    if plain.count(")") > plain.count("("):
        plain = plain.removesuffix(")")
    return plain[:_MOST_SHOWN].rstrip(".") + (f"; {held}" if held else "")


def _unknown_column(where: str, name: str, types: Mapping[str, str]) -> str:
    # of a name with a dot only the first part is told
    path = re.search(rf"(?<![\w.]){re.escape(name)}(?:\.\w+)*", where)
    name = path[0] if path else name
    close = nearest(name.replace(".", "_"), types)
    known = ", ".join(list(types)[:_MOST_NAMES])
    known += f" and {len(types) - _MOST_NAMES:,} more (`cenote info` lists them)" if len(types) > _MOST_NAMES else ""
    if re.search(rf"(?:[=<>]|\b(?:like|in\s*\())\s*{re.escape(name)}", where, re.IGNORECASE):
        return f"no attribute `{name}`; a text is written '{name}'; there are {known}"
    near = f"nearest: `{close}`; " if close else ""
    return f"no attribute `{name}`; {near}there are {known}"


def _wrong_type(where: str, literal: str, arrow: str, types: Mapping[str, str]) -> str:
    kind = _TYPES.get(arrow)
    named = [n for n in _named(where, types) if types[n] == kind or (kind is None and types[n].startswith("list"))]
    held = _held(named, types) or f"it is compared with {_HOLDS.get(kind or '', 'a list')}"
    column = named[0] if len(named) == 1 else "…"
    value = f"'{literal[1:-1]}'" if literal.startswith('"') else literal
    how = {
        "string": f"write it as a text, '{literal}', or compare `try_cast({column} as double)`",
        "int64": "write a whole number, without quotes" if value != literal else f"compare `cast({column} as double)`",
        "double": "write a number, without quotes",
        "bool": "write true or false",
        None: f"look into a list by `array_contains({column}, {value})`",
    }
    return f"{value} does not fit: {held}; {how.get(kind, '')}"


def _wrong_mark(where: str, expected: str, mark: str) -> str:
    # the bracket and the line break are ours
    mark = "the end" if mark.strip() == ")" and ")" not in where else f"`{mark.strip()}`"
    if expected.strip() == ")":
        return f"{mark} stands where the condition should end, or go on with `and` or `or`"
    # what may follow IS is a list of words of the parser's own grammar
    expected = "`null` or `not null`" if "NULL" in expected else expected.strip()
    return f"{mark} stands where {expected} was expected"


def _named(where: str, types: Mapping[str, str]) -> list[str]:
    """The columns that a condition names, outside its texts."""
    bare = re.sub(r"'(?:[^']|'')*'", " ", where)
    words = {(quoted or word).lower() for quoted, word in re.findall(r"`([^`]*)`|([^\W\d]\w*)", bare)}
    return [name for name in types if name.lower() in words]


def _held(names: Iterable[str], types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} holds {_kind(types[name])}" for name in names)


def _kind(kind: str) -> str:
    return f"lists of {_HOLDS[kind[5:-1]]}" if kind.startswith("list<") else _HOLDS[kind]
