"""How a build begins: anew, or where an interrupted one stopped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cenote.collection.manifest import Manifest


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


def empty(recipe: str, seed: int) -> Manifest:
    """Return the version before the first: nothing stored yet."""
    from cenote import __version__

    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(0, recipe, created, seed=seed, cenote=__version__)
