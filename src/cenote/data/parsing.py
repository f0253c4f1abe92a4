"""One file parsed, here or in a worker."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from cenote.data.formats import parser
from cenote.data.parsed import Parsed
from cenote.errors import Unreadable

MOST = 2**30
"""Bytes of a file that is one document; a small packed file may unpack to more than there is memory."""


def content(path: str | Path) -> bytes:
    """Return the bytes of a file, unpacked where its name ends in .gz; raises Unreadable, also beyond MOST bytes."""
    try:
        with gzip.open(path) if str(path).lower().endswith(".gz") else Path(path).open("rb") as file:
            found = file.read(MOST + 1)
        if len(found) > MOST:
            raise Unreadable(f"it holds more than {MOST:,} bytes; cut it into parts", "too large")
        return found
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None


def parse(path: str | Path) -> Parsed:
    """Parse a file by its suffix; raises Unreadable."""
    try:
        return parser(str(path))(content(path), str(path))
    except (RecursionError, MemoryError, ValueError) as error:
        raise Unreadable(f"it cannot be parsed: {type(error).__name__} {error}".rstrip()) from None
