"""Tasks, significance, and the comparison of recipes on questions of one's own."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Bootstrap": "bootstrap",
    "ClassesTask": "classes",
    "Comparison": "comparison",
    "PairsTask": "pairs",
    "Plan": "planning",
    "Question": "question",
    "Records": "task",
    "RetrievalTask": "retrieval",
    "System": "task",
    "Task": "task",
    "bootstrap": "bootstrap",
    "classes_task": "comparing_texts",
    "compare": "comparing",
    "compare_texts": "comparing_texts",
    "load_questions": "spreadsheet",
    "measure": "measuring",
    "pairs_task": "comparing_texts",
    "plan": "planning",
    "verdict": "verdict",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
