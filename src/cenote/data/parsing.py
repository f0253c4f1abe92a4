"""One file parsed, here or in a worker."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from cenote.data.formats import parser
from cenote.data.parsed import Parsed
from cenote.errors import Unreadable


def content(path: str | Path) -> bytes:
    """Return the bytes of a file, unpacked where its name ends in .gz; raises Unreadable."""
    try:
        if str(path).lower().endswith(".gz"):
            with gzip.open(path) as file:
                return file.read()
        return Path(path).read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None


def parse(path: str | Path) -> Parsed:
    """Parse a file by its suffix; raises Unreadable."""
    try:
        return parser(str(path))(content(path), str(path))
    except (RecursionError, MemoryError, ValueError) as error:
        raise Unreadable(f"it cannot be parsed: {type(error).__name__} {error}".rstrip()) from None
