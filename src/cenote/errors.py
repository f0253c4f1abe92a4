"""The exceptions of cenote: each message is one sentence that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class CenoteError(Exception):
    """Base of the errors that are not bad arguments: damage, locks, work that failed."""


class UnknownWord(ValueError):
    """A word that the registry does not hold."""


class RecipeError(ValueError):
    """A recipe that cannot be read, typed or built; the message shows the place.

    `text` is the recipe and `start`, `end` the characters at fault (half open).
    """

    def __init__(self, reason: str, text: str = "", start: int = 0, end: int | None = None) -> None:
        self.reason, self.text, self.start = reason, text, start
        self.end = start + 1 if end is None else end
        shown = f"{reason}\n  {text}\n  {' ' * start}{'^' * max(1, self.end - start)}" if text else reason
        super().__init__(shown)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pass between processes with the place."""
        return type(self), (self.reason, self.text, self.start, self.end)


class CorruptIndex(CenoteError, ValueError):
    """A stored file is missing, truncated or altered.

    `path` is the file; `last_good` the newest version of the collection that is whole, if there is one.
    """

    def __init__(self, path: str | Path, reason: str, last_good: str | None = None) -> None:
        self.path, self.reason, self.last_good = Path(path), reason, last_good
        hint = f"; the last good version is {last_good}" if last_good else ""
        super().__init__(f"{path} is damaged ({reason}){hint}; restore that file from a copy or index again")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pass between processes with the path."""
        return type(self), (self.path, self.reason, self.last_good)


class Locked(CenoteError):
    """Another process is writing to the collection."""


class Unreadable(CenoteError):
    """A source file that a reader cannot make text of: reported under its `kind` and skipped, never fatal by itself."""

    def __init__(self, reason: str, kind: str = "unreadable") -> None:
        self.reason, self.kind = reason, kind
        super().__init__(reason)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pass between processes with the kind."""
        return type(self), (self.reason, self.kind)
