"""The poolings of sentence-transformers, by their modes, as poolers of this library.

`Pooling` pools by one mode or by several side by side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cenote import registry
from cenote.pool.base import Pooler

_WORDS = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "sqrt",
    "weightedmean": "weighted",
    "lasttoken": "last",
}
_OLD = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}
"""How modes are called in `pooling_mode_…: true`, in the order in which their vectors stand side by side."""


def pooler_of(folder: Path, settings: dict[str, Any]) -> Pooler:
    """Return the pooler that the settings of a Pooling describe.

    Raises ValueError for a mode that is unknown.
    """
    given = settings.get("pooling_mode")
    if given is None:
        modes = [_OLD.get(old, old) for old in (key.removeprefix("pooling_mode_") for key in _on(settings))]
    else:
        modes = [given] if isinstance(given, str) else list(given)
    if unknown := [mode for mode in modes if mode not in _WORDS]:
        raise ValueError(f"{folder} pools by {', '.join(unknown)}; known are {', '.join(sorted(_WORDS))}")
    poolers = [registry.make(_WORDS[mode], ("pool",)) for mode in modes or ["mean"]]
    if len(poolers) == 1:
        pooler: Pooler = poolers[0]
        return pooler
    from cenote.pool.adapters import Concat

    return Concat(poolers)


def mode_of(pooler: Pooler) -> str | None:
    """Return the mode by which sentence-transformers pools as a pooler does; None where it has none."""
    config = registry.config(pooler)
    modes = {word: mode for mode, word in _WORDS.items()}
    return modes.get(config["word"]) if config.get("empty") == "zero" else None


def _on(settings: dict[str, Any]) -> list[str]:
    order = [f"pooling_mode_{old}" for old in _OLD]
    on = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value]
    return sorted(on, key=lambda key: order.index(key) if key in order else len(order))
