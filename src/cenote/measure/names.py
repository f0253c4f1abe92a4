"""Which document a person means: the id itself, or the one file of that name.

exact id  >  same letters in another case  >  same file name  >  same file name but for its suffix
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

_SHOWN = 20


def match_names(names: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """Return name -> id for every name.

    Raises ValueError that lists the names that match none, each with the nearest ids, and those that match several.
    """
    known = list(ids)
    exact, whole, files, stems = set(known), _group(known, _plain), _group(known, _file), _group(known, _stem)
    found: dict[str, str] = {}
    unmatched: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        if name in exact:
            found[name] = name
            continue
        file = _file(name)
        # a name without a suffix may hold a dot of its own, so the whole of it is tried before its stem
        candidates = whole.get(_plain(name)) or files.get(file) or stems.get(file) or stems.get(_stem(name)) or []
        if len(candidates) > 1:
            # two files of one name in two folders: the folders that were written decide
            candidates = [id for id in candidates if _same_end(name, id)] or candidates
        if len(candidates) == 1:
            found[name] = candidates[0]
        else:
            unmatched[name] = candidates
    if unmatched:
        lines = [f"  {name!r}: {_advice(name, unmatched[name], files)}" for name in list(unmatched)[:_SHOWN]]
        if len(unmatched) > _SHOWN:
            lines.append(f"  … and {len(unmatched) - _SHOWN} more")
        are = "is" if len(unmatched) == 1 else "are"
        head = f"{len(unmatched)} of the documents named {are} not among the {len(known)} here; correct the names:"
        raise ValueError("\n".join([head, *lines]))
    return found


def _group(ids: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for id in ids:
        groups.setdefault(key(id), []).append(id)
    return groups


def _plain(name: str) -> str:
    # a file name typed by hand and the same one from a Mac's disk differ in how accents are composed
    return unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./").casefold()


def _file(name: str) -> str:
    return PurePosixPath(_plain(name)).name


def _stem(name: str) -> str:
    return PurePosixPath(_plain(name)).stem


def _same_end(name: str, id: str) -> bool:
    """Whether the folders of one are the last folders of the other."""
    one, other = (PurePosixPath(_plain(path)).parent.parts for path in (name, id))
    shared = min(len(one), len(other))
    return one[len(one) - shared :] == other[len(other) - shared :]


def _advice(name: str, candidates: list[str], files: dict[str, list[str]]) -> str:
    if candidates:
        several = ", ".join(repr(id) for id in candidates[:3])
        return f"may be any of {len(candidates)}: {several}{', …' if len(candidates) > 3 else ''}"
    near = [id for file in difflib.get_close_matches(_file(name), files, n=3, cutoff=0.5) for id in files[file]]
    return f"nearest: {', '.join(repr(id) for id in near[:3])}" if near else "nothing is like it"
