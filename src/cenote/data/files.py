"""The files of a source, with the ids that they give."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LEFT_OUT = frozenset({"__pycache__", "node_modules"})
CORPUS = ("corpus.jsonl", "corpus.jsonl.gz")


@dataclass(frozen=True)
class File:
    """A file and its id; `named` where the user named it, not a folder that holds it."""

    path: Path
    id: str
    named: bool


def files(source: str | Path, *, several: bool) -> Iterator[File]:
    """Yield the files of a path, a folder or a pattern with wildcards, in order of name.

    Ids are paths relative to the source, with its last name in front when there are several sources. Hidden files,
    caches and collections are left out; of a BEIR folder only the corpus is read. A folder that cannot be listed comes
    in the place of its files. Raises ValueError for a source that is not there.
    """
    path = Path(source)
    if path.is_dir():
        front = f"{path.resolve().name}/" if several else ""
        for file in _walk(path):
            yield File(file, front + file.relative_to(path).as_posix(), named=False)
    elif path.exists():
        yield File(path, path.name, named=True)
    elif glob.has_magic(str(source)):
        root = _root(str(source))
        front = f"{root.resolve().name}/" if several else ""
        for file in sorted(_matches(root, path)):
            yield File(file, front + file.relative_to(root).as_posix(), named=False)
    else:
        raise ValueError(f"{source} does not exist; give files, folders, or a pattern such as 'docs/**/*.md'")


def _root(pattern: str) -> Path:
    """The part of a pattern before its first wildcard."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]) if first else Path()


def _matches(root: Path, pattern: Path) -> Iterator[Path]:
    """The files of a pattern; unlike those of `glob`, its `**` does not follow links, which may lead back."""
    rest = pattern.parts[len(root.parts) :]
    hidden = any(part.startswith(".") for part in rest)
    for file in root.glob(str(Path(*rest, "*") if rest[-1] == "**" else Path(*rest))):
        if file.is_file() and (hidden or not any(part.startswith(".") for part in file.relative_to(root).parts)):
            yield file


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    unlisted: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=lambda e: unlisted.append(Path(e.filename)), followlinks=True):
        status = os.stat(place)
        # a link may lead back to a folder above it
        if (status.st_dev, status.st_ino) in seen or _is_collection(names):
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _LEFT_OUT)
        corpus = [name for name in CORPUS if name in names]
        if corpus:
            folders.clear()
            names = corpus[:1]
        for name in sorted(names):
            path = Path(place) / name
            # one that goes before it is read is reported then; a pipe is not waited for
            if not name.startswith(".") and (path.is_file() or not os.path.lexists(path)):
                yield path
    yield from sorted(unlisted)


def _is_collection(names: list[str]) -> bool:
    return "CURRENT" in names and any(name.startswith("MANIFEST-") for name in names)
