"""Locks of the operating system: they end with the process that holds them, whatever ends it.

A writer holds LOCK alone. A reader shares the manifest it reads, so that a writer knows which files are still in use.
A lock belongs to an open file, so children made by fork would hold it too: they close theirs at once.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import BinaryIO

from cenote.errors import Locked

_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """An open file with a lock on it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file
        _held.add(self)

    @classmethod
    def alone(cls, path: Path) -> Lock:
        """Lock a file for one writer.

        Raises Locked when somebody else holds it.
        """
        lock = cls(path.open("ab"))
        if not _try(lock, shared=False):
            lock.release()
            place = path.parent
            raise Locked(f"another process is writing to {place}; wait until it is done, or stop it, and try again")
        return lock

    @classmethod
    def shared(cls, path: Path) -> Lock | None:
        """Lock a file as one of many readers; None where it is gone or being removed."""
        try:
            lock = cls(path.open("rb"))
        except (FileNotFoundError, IsADirectoryError):
            return None
        if _try(lock, shared=True) and path.exists():
            return lock
        lock.release()
        return None

    @classmethod
    def unused(cls, path: Path) -> Lock | None:
        """Lock a file that no reader holds, so that none can take it any more; None where one does."""
        try:
            lock = cls(path.open("rb"))
        except OSError:
            return None
        if _try(lock, shared=False):
            return lock
        lock.release()
        return None

    def release(self) -> None:
        """Let go; a second time does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _try(lock: Lock, *, shared: bool) -> bool:
    assert lock._file is not None
    try:
        import fcntl
    except ImportError:
        return _try_windows(lock._file, shared=shared)
    try:
        fcntl.flock(lock._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _try_windows(file: BinaryIO, *, shared: bool) -> bool:
    """Lock one byte far behind the end; a reader's open handle alone keeps a file from being removed there."""
    if shared:
        return True
    import msvcrt

    try:
        file.seek(2**30)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    return True


def _forget() -> None:
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
