"""The table of families that are computed packed: a model type, and the file and class that compute it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch

from cenote.encode.packed import Packed
from cenote.encode.weights import complete

_HOMES = {
    "bert": "bert:PackedBert",
    "roberta": "bert:PackedBert",
    "xlm-roberta": "bert:PackedBert",
    "camembert": "bert:PackedBert",
    "distilbert": "bert:PackedBert",
    "mpnet": "bert:PackedBert",
    "nomic_bert": "nomic:PackedNomicBert",
    "modernbert": "modernbert:PackedModernBert",
    "qwen2": "qwen:PackedQwen",
    "qwen3": "qwen:PackedQwen",
    "gemma3_text": "gemma:PackedGemma",
}


Opened: TypeAlias = Callable[[Path, torch.device, torch.dtype], Packed]


def packed(folder: Path, config: dict[str, Any], *, trust_remote_code: bool = False) -> Opened | None:
    """Return what opens a folder as a packed encoder; None where its config.json or its weights are not understood.

    trust_remote_code: whether code that comes with a model is what computes it.
    """
    home = _HOMES.get(str(config.get("model_type")))
    foreign = trust_remote_code and "AutoModel" in (config.get("auto_map") or {})
    if home is None or foreign or not complete(folder):
        return None
    file, name = home.split(":")
    module = importlib.import_module(f"cenote.encode.{file}")
    found: Opened = getattr(module, name)
    return found if module.understands(config) else None
