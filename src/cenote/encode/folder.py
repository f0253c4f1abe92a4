"""Model folders of sentence-transformers and transformers, read by an allow-list of modules.

    tokenizer -> model -> pooling -> heads (Dense) -> Normalize

A folder without `modules.json` is a bare transformer: mean pooling and no head, as sentence-transformers reads it.
Weights are read from safetensors files and from nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from cenote import registry
from cenote.encode.packaged import digest
from cenote.encode.tokens import Tokenizer
from cenote.pool.base import Pooler

_POOLING = {
    "cls": "cls",
    "cls_token": "cls",
    "max": "max",
    "max_tokens": "max",
    "mean": "mean",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "sqrt",
    "weightedmean": "weighted",
    "weightedmean_tokens": "weighted",
    "lasttoken": "last",
}
_OWN = "cenote.encode.modules.Pool"
_BASE = [{"type": "Transformer", "path": ""}, {"type": "Pooling", "path": None}]
_UNBOUNDED = 10**9
"""Tokenizers without a limit write one far beyond this."""


class Model(Protocol):
    """What computes states: ids (M,) of rows with `lengths`, packed, to {layer: (M, dim)}; layer 0 is the input."""

    dim: int
    depth: int
    device: torch.device
    computed_by: str
    """What computes, in words."""
    concurrent: bool
    """Whether several threads may compute at the same time, each a batch of its own."""

    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return the states of the asked layers."""
        ...


@dataclass
class Parts:
    """What a model folder says: everything that decides a vector, without the caller's own options."""

    folder: Path
    tokenizer: Tokenizer
    model: Model
    sha256: str
    window: int | None = None
    pooling: Pooler = field(default_factory=lambda: registry.make("mean", ("pool",)))
    include_prompt: bool = True
    heads: list[Callable[[Tensor], Tensor]] = field(default_factory=list)
    head_dim: int | None = None
    normalise: bool = False
    similarity: str = "cosine"
    prompts: dict[str, str] = field(default_factory=dict)
    prompt_name: str | None = None
    described: list[dict[str, Any]] = field(default_factory=list)
    """The modules and their settings as the folder gives them: part of what a cached vector depends on."""


def read(folder: Path, device: torch.device, dtype: torch.dtype, *, trust_remote_code: bool = False) -> Parts:
    """Read a model folder.

    Raises ValueError for a folder that is no model, a module that is not on the list, or weights in another format.
    """
    modules = _json(folder / "modules.json", _BASE)
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    first = folder / (modules[0]["path"] or "")
    if kinds[0] == "StaticEmbedding":
        parts = _static(folder, first, device)
    elif kinds[0] == "Transformer":
        parts = _transformer(folder, first, device, dtype, trust_remote_code)
    else:
        raise _unknown(folder, kinds[0])
    pooled = kinds[0] == "StaticEmbedding"
    for kind, module in zip(kinds[1:], modules[1:], strict=True):
        if kind in ("Dense", "Normalize") and not pooled and {"Pooling", "Pool"} & set(kinds):
            raise ValueError(f"{folder} has a module {kind} before its pooling; heads are read behind it only")
        place = None if module["path"] is None else folder / module["path"]
        settings = {} if place is None else _json(place / "config.json", {})
        parts.described.append({"type": kind, **settings})
        if kind == "Pooling":
            parts.pooling, parts.include_prompt = _pooling(folder, settings), settings.get("include_prompt", True)
            pooled = True
        elif module["type"] == _OWN and place is not None:
            parts.pooling, parts.include_prompt = _own_pooling(folder, place, device)
            pooled = True
        elif kind == "Dense" and place is not None:
            if parts.normalise:
                parts.heads.append(_unit)
                parts.normalise = False
            head, parts.head_dim = _dense(folder, place, settings, device)
            parts.heads.append(head)
        elif kind == "Normalize":
            parts.normalise = True
        elif kind != "Dropout":
            raise _unknown(folder, kind)
    _settings(parts, _json(folder / "config_sentence_transformers.json", {}))
    return parts


def _json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


def _unknown(folder: Path, kind: str) -> ValueError:
    known = f"Transformer, StaticEmbedding, Pooling, {_OWN}, Dense, Normalize"
    return ValueError(f"{folder} has a module {kind} where one of {known} is expected; it cannot be loaded")


def weights_digest(folder: Path) -> str:
    """Return the sha256 of a folder's safetensors file; of the digests in the order of the names where there are more.

    Raises ValueError where there is none.
    """
    found = sorted(folder.rglob("*.safetensors"))
    if not found:
        raise ValueError(f"{folder} holds no .safetensors weights; save the model in that format first")
    digests = [digest(path) for path in found]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def _transformer(folder: Path, place: Path, device: torch.device, dtype: torch.dtype, trust_remote_code: bool) -> Parts:
    from cenote.encode.families import packed

    config = _json(place / "config.json", None)
    if config is None:
        raise ValueError(f"{folder} is no model folder: it has no config.json")
    opened = packed(place, config, trust_remote_code=trust_remote_code)
    if opened is not None:
        model: Model = opened(place, device, dtype)
    else:
        from cenote.encode.plain import PlainTransformer

        model = PlainTransformer(place, device, dtype, trust_remote_code)
    limits = [
        _json(place / "sentence_bert_config.json", {}).get("max_seq_length"),
        _json(place / "tokenizer_config.json", {}).get("model_max_length"),
        config.get("max_position_embeddings"),
    ]
    if limits[0] is not None:
        limits = limits[:1]
    window = min((int(limit) for limit in limits if limit is not None and limit < _UNBOUNDED), default=None)
    return Parts(folder, _tokenizer(place, trust_remote_code), model, weights_digest(folder), window)


def _tokenizer(place: Path, trust_remote_code: bool) -> Tokenizer:
    if (place / "tokenizer.json").is_file():
        return Tokenizer.from_file(place / "tokenizer.json")
    from transformers import AutoTokenizer

    slow = AutoTokenizer.from_pretrained(str(place), local_files_only=True, trust_remote_code=trust_remote_code)
    fast = getattr(slow, "backend_tokenizer", None)
    if fast is None:
        raise ValueError(f"{place} has no fast tokenizer (tokenizer.json), which character spans need")
    return Tokenizer(fast)


def _static(folder: Path, place: Path, device: torch.device) -> Parts:
    from cenote.encode.static import StaticTable

    tokenizer = Tokenizer.from_file(place / "tokenizer.json", specials=False)
    return Parts(folder, tokenizer, StaticTable(place / "model.safetensors", device), weights_digest(folder))


def _pooling(folder: Path, settings: dict[str, Any]) -> Pooler:
    given = settings.get("pooling_mode")
    if given is None:
        modes = [key.removeprefix("pooling_mode_") for key, on in settings.items() if key.startswith("pooling_") and on]
    else:
        modes = [given] if isinstance(given, str) else list(given)
    unknown = [mode for mode in modes if mode not in _POOLING]
    if unknown:
        raise ValueError(f"{folder} pools by {', '.join(unknown)}; known are {', '.join(sorted(set(_POOLING)))}")
    poolers = [registry.make(_POOLING[mode], ("pool",)) for mode in modes or ["mean"]]
    if len(poolers) == 1:
        pooler: Pooler = poolers[0]
        return pooler
    from cenote.pool.adapters import Concat

    return Concat(poolers)


def _own_pooling(folder: Path, place: Path, device: torch.device) -> tuple[Pooler, bool]:
    from cenote.encode.modules import Pool

    module = Pool.load(str(folder), place.relative_to(folder).as_posix(), local_files_only=True)
    if module.pooler.reads != "last":
        raise ValueError(f"{place} pools several layers; the encoder hands its last layer to a pooling")
    return module.pooler.to(device).eval(), module.include_prompt


def _dense(
    folder: Path, place: Path, settings: dict[str, Any], device: torch.device
) -> tuple[Callable[[Tensor], Tensor], int]:
    from sentence_transformers.base.modules import Dense

    read = settings.get("module_input_name", "sentence_embedding")
    if read != "sentence_embedding" or settings.get("module_output_name") not in (None, read):
        raise ValueError(f"{place} reads or writes other than sentence_embedding; heads on pooled vectors are known")
    if not (place / "model.safetensors").is_file():
        raise ValueError(f"{place} holds no model.safetensors; save the model in that format first")
    dense: Any = Dense.load(str(folder), subfolder=place.relative_to(folder).as_posix(), local_files_only=True)
    dense.to(device).eval()

    def head(x: Tensor) -> Tensor:
        out: Tensor = dense({dense.module_input_name: x})[dense.module_output_name]
        return out

    return head, int(settings["out_features"])


def _unit(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x, dim=1)


def _settings(parts: Parts, settings: dict[str, Any]) -> None:
    similarity = settings.get("similarity_fn_name") or "cosine"
    if similarity not in ("cosine", "dot"):
        raise ValueError(f"{parts.folder} compares by {similarity}; cosine and dot are known")
    parts.similarity = similarity
    parts.prompts = dict(settings.get("prompts") or {})
    parts.prompt_name = settings.get("default_prompt_name")
