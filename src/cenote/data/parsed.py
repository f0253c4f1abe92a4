"""What a parser of files gives: text, and where its pages and headings begin."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cenote.errors import Unreadable


@dataclass(frozen=True)
class Parsed:
    """A file as text. pages, headings and attributes are those of `Document`."""

    text: str
    pages: tuple[tuple[int, int], ...] = ()
    headings: tuple[tuple[int, int, str], ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Parsed:
        """Read what `to_json` wrote."""
        raw = json.loads(line)
        pages, headings = (tuple(map(tuple, raw[name])) for name in ("pages", "headings"))
        return cls(raw["text"], pages, headings, raw["attributes"])


def decoded(content: bytes) -> str:
    """Return bytes as text: UTF-8, or UTF-16 or UTF-32 that begin with their mark; line ends become newlines.

    Raises Unreadable where they are something else: nothing is replaced in silence.
    """
    try:
        if content[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
            text = content.decode("utf-32")
        elif content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = content.decode("utf-16")
        elif b"\0" in content[:8192]:
            raise Unreadable("it holds zero bytes and is no text", "no text")
        else:
            text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 (byte {error.start}); convert it first", "not UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
