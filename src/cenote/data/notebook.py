"""Jupyter notebooks: the sources of markdown and code cells; outputs are left out."""

from __future__ import annotations

import json

from cenote.data.markdown import headings
from cenote.data.parsed import Parsed, decoded
from cenote.errors import Unreadable


def parse(content: bytes, name: str) -> Parsed:
    """Read a notebook; headings are those of its markdown cells."""
    try:
        cells = json.loads(decoded(content))["cells"]
        parts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"it is no notebook of format 4: {error!r}") from None
    text, found = "", list[tuple[int, int, str]]()
    for kind, source in parts:
        if kind in ("markdown", "code") and source.strip():
            text += "\n\n" if text else ""
            if kind == "markdown":
                found += headings(source, len(text))
            text += source
    return Parsed(text, headings=tuple(found))
