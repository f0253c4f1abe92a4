"""Folders that are there whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole(folder: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of `folder` at the end, unless something was raised.

    replace: write over a folder that is there; it stays until then. What a process that was killed left half-written is
    removed by the next. Raises ValueError for a folder that is not empty.
    """
    folder = Path(folder)
    _clear(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not replace:
        raise ValueError(f"folder is {folder}, which is there already; name another, or replace it")
    # the number of a process that was killed may be given again
    own = f".{folder.name}.{platform.node()}.{os.getpid()}.{uuid4().hex}"
    half, old = folder.with_name(f"{own}.half"), folder.with_name(f"{own}.old")
    half.mkdir(parents=True)
    try:
        yield half
        if folder.exists():
            folder.rename(old)
            half.rename(folder)
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        else:
            half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove what killed processes of this machine left beside a folder; what nothing took the place of goes back."""
    if not folder.parent.is_dir():
        return
    ours = re.compile(rf"\.{re.escape(folder.name)}\.{re.escape(platform.node())}\.(\d+)\.\w+\.(half|old)")
    for left in list(folder.parent.iterdir()):
        found = ours.fullmatch(left.name)
        if found is None or _runs(int(found[1])):
            continue
        if found[2] == "old" and not folder.exists():
            left.rename(folder)
        else:
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _runs(process: int) -> bool:
    if os.name == "nt":  # there, asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
