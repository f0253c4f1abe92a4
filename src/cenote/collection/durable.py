"""Files that stay: written, flushed to the disk, and moved into place by one atomic rename.

A rename is durable only once the folder that holds the name is flushed too; every function here does both.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

_CHUNK = 2**20


def flush(path: Path) -> None:
    """Flush one file or folder to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if os.name == "nt":  # Windows opens no folder, and needs no flush of one
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flush every file and folder below a folder, and the folder."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(place) / name)
        flush(Path(place))


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    half = path.with_name(path.name + ".half")
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    flush(path.parent)


def move(source: Path, target: Path) -> None:
    """Move a folder whose files are written to its final name, durably."""
    flush_tree(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
    flush(target.parent)
    flush(source.parent)


def link_tree(source: Path, target: Path) -> None:
    """Make a second copy of a folder of immutable files: by hard links where the disk allows it."""
    for file in files(source):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            shutil.copyfile(file, place)


def files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in order of name."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place) / name for name in sorted(names))


def digest(path: Path) -> str:
    """Return the blake2b-256 of a file, in hexadecimal."""
    found = blake2b(digest_size=32)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
