"""Comparisons, as frameworks write them, as conditions in SQL that are true or false and never NULL.

A document that lacks a column is equal to nothing, and differs from everything: so a condition may be negated. A value
of another type than the column's is equal to nothing in it either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cenote.collection.attributes import type_of

_INT64 = 2**63
_SIGNS = ("<", "<=", ">", ">=")


class Conditions:
    """Writes conditions on columns. types: of the attributes of a collection, as its `info` names them."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = {**types, "id": "string", "source": "string", "text": "string"}

    def equal(self, column: str, value: Any) -> str:
        """Equal to a value; to None: there is none."""
        if value is None:
            return self.missing(column)
        return self._compared(column, "=", value)

    def ordered(self, column: str, sign: str, value: Any) -> str:
        """Below or above a number or a text, which is compared letter by letter; with None, false.

        Raises TypeError for a truth value or a list, and where a number meets texts or a text numbers.
        """
        assert sign in _SIGNS
        if value is None or self._type(column) is None:
            return "FALSE"
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TypeError(f"{column} {sign} takes a number or a text, not {value!r}")
        if not self._fits(column, value):
            raise TypeError(f"{column} holds {self._type(column)}, which {sign} cannot compare with {value!r}")
        return self._compared(column, sign, value)

    def among(self, column: str, values: Iterable[Any]) -> str:
        """Equal to one of some values."""
        given = list(values)
        scalars = [value for value in given if value is not None and self._fits(column, value)]
        found = [self.missing(column)] if None in given else []
        if any(isinstance(value, list | float) for value in scalars):
            found += [self.equal(column, value) for value in scalars]
        elif scalars:
            name = self._quoted(column)
            found.append(f"({name} IS NOT NULL AND {name} IN ({', '.join(map(_literal, scalars))}))")
        return some(found)

    def missing(self, column: str) -> str:
        """The document has no value there."""
        return "TRUE" if self._type(column) is None else f"({self._quoted(column)} IS NULL)"

    def holds(self, column: str, value: Any) -> str:
        """A list that has a value among its own."""
        kind = self._type(column) or ""
        if not kind.startswith("list<") or not _fits(kind[5:-1], value):
            return "FALSE"
        name = self._quoted(column)
        return f"({name} IS NOT NULL AND array_has({name}, {_literal(_narrowed(value, kind[5:-1]))}))"

    def within(self, column: str, text: str, *, any_case: bool = False) -> str:
        """A text that has another inside."""
        if not isinstance(text, str):
            raise TypeError(f"what is looked for inside {column} must be a text, not {text!r}")
        if self._type(column) != "string":
            return "FALSE"
        name = self._quoted(column)
        here, inside = (f"lower({name})", text.lower()) if any_case else (name, text)
        return f"({name} IS NOT NULL AND contains({here}, {_literal(inside)}))"

    def _type(self, column: str) -> str | None:
        return next((kind for name, kind in self._types.items() if name.lower() == column.lower()), None)

    def _quoted(self, column: str) -> str:
        if "`" in column:
            raise ValueError(f"the column {column!r} holds a `, which conditions cannot name; rename the attribute")
        return f"`{next(name for name in self._types if name.lower() == column.lower())}`"

    def _fits(self, column: str, value: Any) -> bool:
        kind = self._type(column)
        return kind is not None and _fits(kind, value)

    def _compared(self, column: str, sign: str, value: Any) -> str:
        if not self._fits(column, value):
            return "FALSE"
        name, kind = self._quoted(column), str(self._type(column))
        value = _narrowed(value, kind)
        # Lance takes no decimal where a column is whole
        here = f"CAST({name} AS DOUBLE)" if kind == "int64" and isinstance(value, float) else name
        return f"({name} IS NOT NULL AND {here} {sign} {_literal(value)})"


def every(conditions: Iterable[str]) -> str:
    """All of some conditions; of none, true."""
    return f"({' AND '.join(found)})" if (found := list(conditions)) else "TRUE"


def some(conditions: Iterable[str]) -> str:
    """At least one of some conditions; of none, false."""
    return f"({' OR '.join(found)})" if (found := list(conditions)) else "FALSE"


def negated(condition: str) -> str:
    """Not a condition."""
    return f"(NOT {condition})"


def _fits(kind: str, value: Any) -> bool:
    try:
        given = type_of(value) if not isinstance(value, int) or isinstance(value, bool) else "int64"
    except (TypeError, ValueError):
        return False
    numbers = ("int64", "double")
    return given == kind or (given in numbers and kind in numbers)


def _narrowed(value: Any, kind: str) -> Any:
    """A whole number that the column's type cannot take as a float, a whole float as the number it is."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return float(value)
    if isinstance(value, float) and kind == "int64" and value.is_integer() and abs(value) < _INT64:
        return int(value)
    return value


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return f"make_array({', '.join(map(_literal, value))})"
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that documents can be compared with")
    return repr(value)
