"""Folders that are there whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole(folder: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of `folder` at the end, unless something was raised.

    replace: write over a folder that is there; it stays until then. Raises ValueError for one that is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not replace:
        raise ValueError(f"folder is {folder}, which is there already; name another, or replace it")
    half = folder.with_name(f".{folder.name}.{uuid4().hex}.half")
    half.mkdir(parents=True)
    try:
        yield half
        if folder.exists():
            old = half.with_suffix(".old")
            folder.rename(old)
            half.rename(folder)
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        else:
            half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
