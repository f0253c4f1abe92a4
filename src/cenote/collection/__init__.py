"""Collections: documents, a recipe and an index in a folder, durable and searchable."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cenote.collection.collection import Collection, Commit, MissingDocuments, Report, open_collection
    from cenote.collection.creating import create
    from cenote.collection.hits import Hit
    from cenote.collection.sizes import Info

_HOMES = {
    "Collection": "collection",
    "Commit": "collection",
    "Hit": "hits",
    "Info": "sizes",
    "MissingDocuments": "collection",
    "Report": "collection",
    "create": "creating",
    "open_collection": "collection",
}
__all__ = [
    "Collection",
    "Commit",
    "Hit",
    "Info",
    "MissingDocuments",
    "Report",
    "create",
    "open_collection",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
