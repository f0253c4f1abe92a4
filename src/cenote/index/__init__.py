"""Engines: arrays in, row numbers out."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"Flat": "flat", "Index": "base", "Rerank": "rerank", "Reranked": "rerank", "open_index": "opening"}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
