"""Arrays as files: raw little-endian bytes, one array a file, described by `index.json` beside them.

A file's first byte is the array's first byte, so a mapping is aligned to a page whatever the type. Nothing here is a
serialised object: shapes and types are JSON, and are checked against the size of the file before it is mapped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.errors import CorruptIndex

FORMAT = 1
DESCRIPTION = "index.json"
_KINDS = frozenset("iufb")


def write(folder: Path, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays and their description into a folder, made where it is missing.

    Raises ValueError when the folder already holds an index.
    """
    if (folder / DESCRIPTION).exists():
        raise ValueError(f"{folder} already holds an index; save into a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {}
    for name, array in arrays.items():
        little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        # numpy's own `tofile` says of a full disk how many bytes it wrote, and not why no more
        (folder / f"{name}.bin").write_bytes(little.data)
        shapes[name] = {"dtype": little.dtype.str, "shape": list(little.shape)}
    text = json.dumps({"format": FORMAT, **description, "arrays": shapes}, indent=1, sort_keys=True)
    # no newline at the end: the last byte closes the object, so that a file cut short by one cannot be read
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def describe(folder: Path, kind: str | None = None, **needed: type) -> dict[str, Any]:
    """Return the description of a saved index: of the class `kind`, holding what is `needed`, each of its type.

    Raises CorruptIndex where it is missing or damaged, ValueError for another class or a format of a later version.
    """
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        version = int(found["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptIndex(folder / DESCRIPTION, f"it cannot be read: {error}") from None
    if version > FORMAT:
        raise ValueError(f"{folder} is of format {version}, newer than the {FORMAT} of this version; upgrade cenote")
    for name, wanted in {"class": str, "rows": int, "arrays": dict, **needed}.items():
        if not isinstance(found.get(name), wanted):
            raise CorruptIndex(folder / DESCRIPTION, f"it says no {name}")
        if name == "class" and kind not in (None, found["class"]):
            raise ValueError(f"{folder} holds an index of class {found['class']!r}, not {kind}")
    return dict(found)


def disk(folders: Sequence[Path]) -> int:
    """Return the bytes of the files that lie in folders, those of folders within not counted."""
    return sum(file.stat().st_size for folder in folders for file in folder.iterdir() if file.is_file())


def map_arrays(folder: Path, description: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Memory-map the arrays that a description names. Writing to one changes no file.

    Raises CorruptIndex where a file is missing or has another size.
    """
    return {name: _map(folder / f"{name}.bin", entry) for name, entry in description["arrays"].items()}


def _map(path: Path, entry: Mapping[str, Any]) -> NDArray[Any]:
    try:
        dtype, shape = np.dtype(str(entry["dtype"])), tuple(int(n) for n in entry["shape"])
    except (KeyError, TypeError, ValueError):
        raise CorruptIndex(path, f"its description {entry} is no array") from None
    if dtype.kind not in _KINDS or dtype != dtype.newbyteorder("<") or any(n < 0 for n in shape):
        raise CorruptIndex(path, f"its description {entry} is no array of little-endian numbers")
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    try:
        size = path.stat().st_size
    except OSError:
        raise CorruptIndex(path, "it is missing") from None
    if size != expected:
        raise CorruptIndex(path, f"it has {size} bytes where {expected} are expected")
    # copy-on-write, so that torch may wrap it; an empty file cannot be mapped
    return np.memmap(path, dtype, "c", shape=shape) if expected else np.empty(shape, dtype)
