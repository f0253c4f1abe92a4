"""Transforms (dense to dense) and codecs (dense to the bytes that are stored)."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "BF16": "bf16",
    "Binary": "binary",
    "Codec": "base",
    "Float8": "float8",
    "Float16": "float16",
    "Float32": "float32",
    "Int8": "int8",
    "Normalize": "normalize",
    "PCA": "pca",
    "Rotate": "rotate",
    "Transform": "base",
    "Truncate": "truncate",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
