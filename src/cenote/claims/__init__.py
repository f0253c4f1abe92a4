"""The papers, and one runnable check of what each claims.

A check is a module named after its paper with a function `check(data) -> Finding`; running it writes
`results/<slug>.json`, which `cenote papers` and the docs read.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cenote.claims.finding import Figure, Finding
    from cenote.claims.papers import Paper, papers
    from cenote.claims.reproducing import reproduce

_HOMES = {
    "Figure": "finding",
    "Finding": "finding",
    "Paper": "papers",
    "papers": "papers",
    "reproduce": "reproducing",
}
__all__ = ["Figure", "Finding", "Paper", "papers", "reproduce"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
