"""cenote: embeddings, pooled. From tokens to the fewest bytes that still find them.

    create, open     a collection of documents, searchable
    compare          which recipe wins on one's own questions
    Encoder          texts to vectors

Packages (`cenote.pool`, `cenote.index`, …) and these names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cenote.collection.collection import open_collection as open
    from cenote.collection.creating import create as create
    from cenote.encode.encoder import Encoder as Encoder
    from cenote.measure.comparing import compare as compare

__version__ = "0.1.0"

_NAMES = {
    "create": ("cenote.collection.creating", "create"),
    "open": ("cenote.collection.collection", "open_collection"),
    "compare": ("cenote.measure.comparing", "compare"),
    "Encoder": ("cenote.encode.encoder", "Encoder"),
}
_PACKAGES = ("collection", "compress", "data", "encode", "index", "kernels", "measure", "pool", "recipe", "registry")
__all__ = ["Encoder", "__version__", "compare", "create", "open"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        module, attribute = _NAMES[name]
        return getattr(importlib.import_module(module), attribute)
    if name in _PACKAGES:
        return importlib.import_module(f"cenote.{name}")
    raise AttributeError(f"module 'cenote' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])
