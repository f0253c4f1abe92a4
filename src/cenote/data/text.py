"""Plain text and source code: the text as it is; Python's top-level classes and functions are headings."""

from __future__ import annotations

import re
from pathlib import PurePath

from cenote.data.parsed import Parsed, decoded

_DEFINITION = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)", re.MULTILINE)


def parse(content: bytes, name: str) -> Parsed:
    """Read a text file."""
    return Parsed(decoded(content))


def parse_code(content: bytes, name: str) -> Parsed:
    """Read a file of source code; its suffix is the attribute `language`."""
    text, suffix = decoded(content), PurePath(name).suffix.lstrip(".").lower()
    found = _DEFINITION.finditer(text) if suffix == "py" else ()
    return Parsed(text, headings=tuple((m.start(), 1, m[1]) for m in found), attributes={"language": suffix})
