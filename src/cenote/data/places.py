"""Where every id was seen first, in 16 bytes an id, so that one that comes twice can name both places."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_RECENT = 2**18
_ROWS = 2**40


class Places:
    """Remembers (file, row) of ids by their 64-bit hash."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._recent: dict[int, int] = {}
        self._runs: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []

    def file(self, name: str) -> int:
        """Return the number of a new file."""
        self._files.append(name)
        return len(self._files) - 1

    def see(self, id: str, file: int, row: int | None) -> None:
        """Remember an id.

        Raises ValueError naming both places where it was seen before.
        """
        key = int.from_bytes(blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        before = self._find(key)
        if before is not None:
            first, second = self._shown(before), self._shown(file * _ROWS + (0 if row is None else row + 1))
            raise ValueError(f"the id {id!r} comes twice: {first} and {second}; ids must be unique in one call")
        self._recent[key] = file * _ROWS + (0 if row is None else row + 1)
        if len(self._recent) == _RECENT:
            self._settle()

    def _find(self, key: int) -> int | None:
        if key in self._recent:
            return self._recent[key]
        for keys, places in self._runs:
            at = int(np.searchsorted(keys, np.uint64(key)))
            if at < len(keys) and int(keys[at]) == key:
                return int(places[at])
        return None

    def _settle(self) -> None:
        """Sort what is recent into a run; runs of like size are merged, so that there are few."""
        keys = np.fromiter(self._recent.keys(), np.uint64, len(self._recent))
        places = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        self._recent = {}
        while self._runs and len(self._runs[-1][0]) <= 2 * len(keys):
            more, theirs = self._runs.pop()
            keys, places = np.concatenate([keys, more]), np.concatenate([places, theirs])
        order = np.argsort(keys)
        self._runs.append((keys[order], places[order]))

    def _shown(self, place: int) -> str:
        file, row = divmod(place, _ROWS)
        return self._files[file] if row == 0 else f"{self._files[file]}, row {row - 1}"
