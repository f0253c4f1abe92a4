"""Encoders: texts become states, and states become vectors."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"Encoder": "encoder", "Encodings": "cache", "Overflow": "overflow", "States": "states"}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
