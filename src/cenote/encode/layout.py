"""Which modules a model folder names, in their order.

modules.json          [{"type": "….Transformer", "path": ""}, {"type": "….Pooling", "path": "1_Pooling"}, …]
"""

from __future__ import annotations

import json
import os.path
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BASE = [{"type": "Transformer", "path": ""}, {"type": "Pooling", "path": None}]
_CONFIGS = {
    "CNN": "cnn_config.json",
    "LSTM": "lstm_config.json",
    "WordEmbeddings": "wordembedding_config.json",
    "Router": "router_config.json",
    "Asym": "router_config.json",
}
"""What is not called config.json."""


@dataclass(frozen=True)
class Named:
    """A module as a folder names it. kind: the last part of its type. place: where its files are, if it has any."""

    kind: str
    type: str
    place: Path | None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def reads(self) -> str:
        """The feature that it reads, as Dense and Normalize are told."""
        return str(self.settings.get("module_input_name", "sentence_embedding"))

    @property
    def writes(self) -> str:
        """The feature that it writes."""
        return str(self.settings.get("module_output_name") or self.reads)


def read_json(path: Path, default: Any) -> Any:
    """Return what a JSON file holds, the default where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


def named(folder: Path) -> list[Named]:
    """Return the modules of a folder; of a bare transformer, that and a mean.

    Raises ValueError for a module outside the folder.
    """
    listed = read_json(folder / "modules.json", _BASE)
    return [module(folder, str(one["type"]), one["path"]) for one in listed]


def module(folder: Path, kind: str, path: str | Path | None) -> Named:
    """Return the module of a type whose files are at a path of a folder.

    Raises ValueError for a path outside the folder.
    """
    word = kind.rsplit(".", 1)[-1]
    if path is None:
        return Named(word, kind, None)
    place = Path(os.path.normpath(folder / path))
    if not place.is_relative_to(os.path.normpath(folder)):
        raise ValueError(f"{folder} names a module at {path}, which is outside of it; it cannot be loaded")
    settings = read_json(place / _CONFIGS.get(word, "config.json"), None)
    if settings is None:
        settings = read_json(place / "config.json", {})
    return Named(word, kind, place, settings)
