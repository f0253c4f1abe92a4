"""How a build begins: anew, or where an interrupted one stopped."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cenote.collection import manifest
from cenote.collection.manifest import Manifest
from cenote.collection.writer import LOCK

_OURS = re.compile(rf"{LOCK}|tmp|seg|tomb|stages|MANIFEST-\d+\.json(\.half)?|CURRENT\.half")
_GO_ON, _MOST_SHOWN = "go on as it was begun, or replace it (--replace)", 200
_UNNAMEABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Tables of documents cannot lie below a folder with one of these in its name."""


def asked(sources: Any, limit: int | None = None, text_column: str | None = None) -> dict[str, Any]:
    """Return what decides which documents are read: what an interrupted build is gone on with.

    Sources count where all of them are paths: rows from Python cannot be told from others.
    """
    given = sources if isinstance(sources, list | tuple) else [sources]
    in_files = all(isinstance(one, str | Path) for one in given)
    paths = [os.path.abspath(one) for one in given] if in_files else None
    return {"sources": paths, "limit": limit, "text_column": text_column}


def begun(
    found: Manifest | None, place: Path, recipe: str, asks: Mapping[str, Any], *, replaced: bool
) -> Manifest | None:
    """Return the version to go on from, None to start anew.

    Raises ValueError where a collection is complete, or was begun with another recipe or asked for other documents, and
    is not to be replaced.
    """
    if found is None:
        return None
    # versions that were begun before this was kept say nothing of it
    other = next((name for name, value in found.asked.items() if asks.get(name) != value), None)
    if not found.complete and found.recipe == recipe and other is None:
        return found
    if replaced:
        return None
    if found.complete:
        raise ValueError(f"{place} is a collection already; add to it, reindex it, or replace it (--replace)")
    if found.recipe == recipe and other is not None:
        was, now = _shown(found.asked[other]), _shown(asks.get(other))
        raise ValueError(f"{place} was begun with {other} {was} and not {now}; {_GO_ON}")
    raise ValueError(f'{place} was begun with the recipe "{found.recipe}" and not "{recipe}"; {_GO_ON}')


def _shown(value: Any) -> str:
    shown = "none" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"


def vacant(place: Path) -> None:
    """Raise ValueError where a place is taken by something that is no collection, or is called what none can be."""
    if _UNNAMEABLE.search(str(place.absolute())):
        shown = ascii(str(place.absolute()))
        raise ValueError(f"{shown} holds a character that is none to print, such as a line break; name another place")
    if place.is_symlink() and not place.exists():
        raise ValueError(f"{place} is a link to {os.readlink(place)}, which is not there; make that folder first")
    if not place.exists() or manifest.exists(place):
        return
    # an interrupted call leaves this much before its first commit
    names = {path.name for path in place.iterdir()} if place.is_dir() else {""}
    if names and not (LOCK in names and all(map(_OURS.fullmatch, names))):
        raise ValueError(f"{place} exists and is no collection; name another place")


def empty(recipe: str, seed: int, asks: dict[str, Any] | None = None) -> Manifest:
    """Return the version before the first: nothing stored yet."""
    from cenote import __version__

    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(0, recipe, created, seed=seed, asked=asks or {}, cenote=__version__)
