"""Lines of text from a file or stdin, whatever the machine's own encoding is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path


def lines(file: str) -> Iterator[str]:
    """Yield the lines of a file, or of stdin for `-`, as they come, without their ends; a line ends at \\n or \\r\\n.

    Raises ValueError for a file that is not there, and naming the line that is not UTF-8.
    """
    if file == "-":
        yield from _decoded(sys.stdin.buffer, "stdin")
        return
    if not Path(file).is_file():
        raise ValueError(f"{file} is no file; name one, or - for stdin")
    with Path(file).open("rb") as opened:
        yield from _decoded(opened, file)


def _decoded(found: Iterator[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(found, 1):
        try:
            # text that was saved on Windows may begin with a mark, which is no character of it
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{name}, line {number}: this is not UTF-8; convert it first") from None
        yield text.removesuffix("\n").removesuffix("\r")
