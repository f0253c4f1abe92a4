"""A server over one collection: searches, additions, encodings, and a page. It needs the extra `cenote[serve]`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cenote.serve.asgi import application
    from cenote.serve.running import run
    from cenote.serve.service import Service

_HOMES = {"Service": "service", "application": "asgi", "run": "running"}
__all__ = ["Service", "application", "run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
