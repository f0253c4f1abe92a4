"""How much a long piece of work may hold at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_LEAST = 2**28


@dataclass(frozen=True)
class Budget:
    """Shares of the memory allowed: what a segment may hold while it is made.

    characters: of text. vector_bytes: of vectors in fp32, of which two copies live for a moment. index_bytes: of the
    codes that compaction joins into one segment.
    """

    characters: int
    vector_bytes: int
    index_bytes: int


def budget(memory: str | int) -> Budget:
    """Return the shares of an amount such as "2GiB", "500MB" or a number of bytes.

    Python with torch and a small model takes about 0.6 GiB of its own, which is part of the amount from 1 GiB on and
    comes on top below. A larger model comes on top by its weights and one batch, and every document by 16 bytes of id.
    Raises ValueError for what is no amount, or one below 256 MiB.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b?)\s*", str(memory).lower())
    unit = None if match is None else _UNITS.get(match[2] if match[2].endswith("b") or not match[2] else match[2] + "b")
    if match is None or unit is None:
        raise ValueError(f"memory must be an amount such as 2GiB or 500MB, not {memory!r}")
    bytes = int(float(match[1]) * unit)
    if bytes < _LEAST:
        raise ValueError(f"memory is {memory}, and at least 256MiB are needed")
    return Budget(characters=bytes // 64, vector_bytes=bytes // 16, index_bytes=bytes // 8)
