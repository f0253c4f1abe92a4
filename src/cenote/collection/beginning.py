"""How a build begins: anew, or where an interrupted one stopped."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from cenote.collection import manifest
from cenote.collection.manifest import Manifest
from cenote.collection.writer import LOCK

_OURS = re.compile(rf"{LOCK}|tmp|seg|tomb|stages|MANIFEST-\d+\.json(\.half)?|CURRENT\.half")
_UNNAMEABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Tables of documents cannot lie below a folder with one of these in its name."""


def begun(found: Manifest | None, place: Path, recipe: str, *, replaced: bool) -> Manifest | None:
    """Return the version to go on from, None to start anew.

    Raises ValueError where a collection is complete, or was begun with another recipe, and is not to be replaced.
    """
    if found is None:
        return None
    if not found.complete and found.recipe == recipe:
        return found
    if replaced:
        return None
    if found.complete:
        raise ValueError(f"{place} is a collection already; add to it, reindex it, or replace it (--replace)")
    reason = f'{place} was begun with the recipe "{found.recipe}" and not "{recipe}"'
    raise ValueError(f"{reason}; go on with that one, or replace it (--replace)")


def vacant(place: Path) -> None:
    """Raise ValueError where a place is taken by something that is no collection, or is called what none can be."""
    if _UNNAMEABLE.search(str(place.absolute())):
        shown = ascii(str(place.absolute()))
        raise ValueError(f"{shown} holds a character that is none to print, such as a line break; name another place")
    if not place.exists() or manifest.exists(place):
        return
    # an interrupted call leaves this much before its first commit
    names = {path.name for path in place.iterdir()} if place.is_dir() else {""}
    if names and not (LOCK in names and all(map(_OURS.fullmatch, names))):
        raise ValueError(f"{place} exists and is no collection; name another place")


def empty(recipe: str, seed: int) -> Manifest:
    """Return the version before the first: nothing stored yet."""
    from cenote import __version__

    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(0, recipe, created, seed=seed, cenote=__version__)
