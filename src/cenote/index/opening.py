"""Open a saved index of whatever class its folder names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cenote import registry
from cenote.errors import CorruptIndex, UnknownWord
from cenote.index import store
from cenote.index.base import Index


def open_index(folders: str | Path | Sequence[str | Path]) -> Index:
    """Memory-map one folder, or several of one class as one index.

    Raises CorruptIndex where a file is missing or damaged, ValueError where the folders do not belong together.
    """
    paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
    if not paths:
        raise ValueError("no folder to open")
    word = str(store.describe(paths[0]).get("class"))
    try:
        index: Index = registry.find(word, ("engine", "rerank", "fuse")).load().open(paths)
    except UnknownWord:
        raise CorruptIndex(paths[0] / store.DESCRIPTION, f"{word!r} is no class of index") from None
    return index
