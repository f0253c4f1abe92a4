"""The documentation that lies on every Python machine: docstrings, read without importing anything.

A docstring whose first line says enough becomes a question with a known answer: the line must find the docstring it
headed, from which it is removed.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from inspect import cleandoc
from pathlib import Path
from typing import TypeAlias

_LEFT_OUT = frozenset({"test", "tests", "testing", "idlelib", "lib2to3", "site-packages", "__pycache__", "_vendor"})
_LEAST_TEXT = 120
_QUESTION_WORDS = (5, 25)
_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Docstring:
    """What documents a public function, class or method: its dotted name, first paragraph and all the rest."""

    name: str
    file: Path
    summary: str
    body: str

    @property
    def text(self) -> str:
        """The whole, below its name."""
        return f"{self.name}\n{self.summary}\n\n{self.body}"


def collect(most: int) -> list[Docstring]:
    """Return docstrings of the standard library and, until there are enough, of the packages that are installed."""
    paths = sysconfig.get_paths()
    found: dict[str, Docstring] = {}
    for root in dict.fromkeys((Path(paths["stdlib"]), Path(paths["purelib"]))):
        for one in _below(root):
            # what is inherited or written twice would be two right answers to one question
            found.setdefault(blake2b(f"{one.summary}{one.body}".encode()).hexdigest(), one)
            if len(found) == most:
                return list(found.values())
    return list(found.values())


def known_items(docstrings: list[Docstring], count: int) -> list[Docstring]:
    """Return those that can be asked for, drawn by a hash of their names: the same on every run."""
    summaries = Counter(one.summary for one in docstrings)
    low, high = _QUESTION_WORDS
    fit = [
        one
        for one in docstrings
        if summaries[one.summary] == 1 and low <= len(one.summary.split()) <= high and len(one.body) >= _LEAST_TEXT
    ]
    return sorted(fit, key=lambda one: blake2b(one.name.encode()).digest())[:count]


def _below(root: Path) -> Iterator[Docstring]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if _LEFT_OUT.intersection(parts) or any(part.startswith("_") for part in parts if part != "__init__"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            continue  # packages carry templates and code of other versions
        yield from _inside(tree, ".".join(part for part in parts if part != "__init__"), path)


def _inside(tree: ast.Module | _Definition, name: str, path: Path) -> Iterator[Docstring]:
    for node in tree.body:
        if not isinstance(node, _Definition) or node.name.startswith("_"):
            continue
        inner = f"{name}.{node.name}"
        summary, _, body = cleandoc(ast.get_docstring(node) or "").partition("\n\n")
        if len(summary) + len(body) >= _LEAST_TEXT:
            yield Docstring(inner, path, " ".join(summary.split()), body)
        if isinstance(node, ast.ClassDef):
            yield from _inside(node, inner, path)
