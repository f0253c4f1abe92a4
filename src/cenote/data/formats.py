"""Which suffix is read by what."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import PurePath

from cenote.data.parsed import Parsed

_CODE = """
py pyi js jsx ts tsx c h cc cpp hpp cu java go rs rb php sh bash sql r scala kt swift lua pl cs m jl hs ex erl clj dart
proto css scss yaml yml toml ini cfg xml tex bib
"""
PARSERS: dict[str, str] = {
    **dict.fromkeys(("txt", "text", "log", "rst"), "cenote.data.text:parse"),
    **dict.fromkeys(_CODE.split(), "cenote.data.text:parse_code"),
    **dict.fromkeys(("md", "markdown", "mdx"), "cenote.data.markdown:parse"),
    **dict.fromkeys(("html", "htm", "xhtml"), "cenote.data.html:parse"),
    "pdf": "cenote.data.pdf:parse",
    "ipynb": "cenote.data.notebook:parse",
}
"""suffix: module:function of (bytes, name) -> Parsed."""
ROWS = frozenset({"jsonl", "ndjson", "json", "csv", "tsv", "parquet"})
"""Suffixes of files that hold a document a row."""
ALONE = frozenset({"pdf", "html", "htm", "xhtml"})
"""Suffixes read by parsers that may hang or crash: in a process of their own."""


def suffix(name: str) -> str:
    """Return the suffix that decides, lower case; of `a.txt.gz` it is `txt`."""
    path = PurePath(name)
    if path.suffix.lower() == ".gz":
        path = PurePath(path.stem)
    return path.suffix.lstrip(".").lower()


def parser(name: str) -> Callable[[bytes, str], Parsed]:
    """Return the function that parses a file of this name; raises KeyError for a suffix that has none."""
    module, _, function = PARSERS[suffix(name)].partition(":")
    found: Callable[[bytes, str], Parsed] = getattr(importlib.import_module(module), function)
    return found
