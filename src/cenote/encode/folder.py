"""Model folders of sentence-transformers and transformers, read by an allow-list of modules.

    tokenizer -> model (-> modules on tokens) -> pooling -> heads -> Normalize

A router gives queries modules of their own anywhere in that line, or another line altogether.
A folder without `modules.json` is a bare transformer: mean pooling and no head, as sentence-transformers reads it.
Weights are read from safetensors files and from nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cenote import registry
from cenote.encode.fronts import Front, front_of, unknown
from cenote.encode.heads import First, Unit, head_of, loaded
from cenote.encode.layout import Named, named, read_json
from cenote.encode.model import Model
from cenote.encode.poolings import pooler_of
from cenote.encode.routes import ROLES, routed
from cenote.encode.tokens import Tokenizer
from cenote.pool.base import Pooler

if TYPE_CHECKING:
    from cenote.encode.words import Words

OWN = "cenote.encode.modules.Pool"
FRONTS = ("Transformer", "StaticEmbedding", "WordEmbeddings", "BoW")
"""What makes states of texts."""
ON_TOKENS = ("WeightedLayerPooling", "WordWeights", "CNN", "LSTM", "Dense", "Normalize")
"""What may stand between those and the pooling."""
HEADS = ("Dense", "LayerNorm", "Normalize", "Dropout")
"""What may stand behind the pooling."""
_BY_TOKENS = "a vector for every token; no recipe compares by tokens, and `Encoder.states` gives those of any encoder"
_OTHERS = {
    "SparseEncoder": "weights for the words of a vocabulary; the recipe word for weighted words is `bm25`",
    "MultiVectorEncoder": _BY_TOKENS,
    "ColBERT": _BY_TOKENS,
    "CrossEncoder": "scores of pairs of texts; the recipe word `rerank` scores again by vectors",
}
"""What folders of sentence-transformers, by their type of model, give that do not give one vector a text."""
_MADE_OF = {
    "MLMTransformer": "SparseEncoder",
    "SpladePooling": "SparseEncoder",
    "SparseAutoEncoder": "SparseEncoder",
    "SparseStaticEmbedding": "SparseEncoder",
    "MultiVectorMask": "MultiVectorEncoder",
}
"""Their modules, where a folder does not say what it is."""


@dataclass
class Parts:
    """What a model folder says: everything that decides a vector, without the caller's own options."""

    folder: Path
    tokenizer: Tokenizer | Words
    model: Model
    sha256: str
    window: int | None = None
    pooling: Pooler = field(default_factory=lambda: registry.make("mean", ("pool",)))
    include_prompt: bool = True
    heads: list[nn.Module] = field(default_factory=list)
    head_dim: int | None = None
    normalise: bool = False
    similarity: str = "cosine"
    prompts: dict[str, str] = field(default_factory=dict)
    prompt_name: str | None = None
    described: list[dict[str, Any]] = field(default_factory=list)
    """The modules and their settings as the folder gives them: part of what a cached vector depends on."""
    place: Path | None = None
    """Where the files of the model are."""
    query: Parts | None = None
    """The same of queries, where a router gives them other modules than documents."""

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""
        return self.head_dim or self.pooling.out_dim(self.model.dim)

    def behind(self, *, own: bool, first: int | None = None, normalise: bool | None = None) -> list[nn.Module]:
        """Return what stands behind the model's own pooling or another: heads, the first dimensions, length 1.

        normalise: length 1 or not; by default own vectors are what the folder says, and others have length 1 where the
        model compares by cosine.
        """
        if normalise is None:
            normalise = self.normalise if own and first is None else self.similarity == "cosine"
        heads = self.heads if own else []
        return [*heads, *([First(first)] if first is not None else []), *([Unit()] if normalise else [])]


def read(folder: Path, device: torch.device, dtype: torch.dtype, *, trust_remote_code: bool = False) -> Parts:
    """Read a model folder.

    Raises ValueError for a folder that is no model or gives other than one vector a text, a module that is not on the
    list, queries and documents of different dimensions, and weights in another format.
    """
    settings, modules = read_json(folder / "config_sentence_transformers.json", {}), named(folder)
    queries, documents = (routed(folder, modules, role) for role in ROLES)
    kinds = [settings.get("model_type"), *(_MADE_OF.get(one.kind) for one in (*queries, *documents))]
    if kind := next((kind for kind in kinds if kind in _OTHERS), None):
        raise ValueError(f"{folder} is a {kind}, which gives {_OTHERS[kind]}; models of one vector a text are opened")
    if not documents or not queries:
        raise ValueError(f"{folder} names no module that reads texts; it cannot be loaded")
    front = front_of(folder, documents[0], device, dtype, trust_remote_code)
    parts = _parts(folder, front, documents, device)
    _settings(parts, settings)
    if queries != documents:
        if queries[0] != documents[0]:
            front = front_of(folder, queries[0], device, dtype, trust_remote_code)
        parts.query = _parts(folder, front, queries, device)
        _settings(parts.query, settings)
        if parts.query.dim != parts.dim:
            widths = f"queries {parts.query.dim} dimensions and documents {parts.dim}"
            raise ValueError(f"{folder} gives {widths}, which cannot be compared")
        if parts.query.sha256 != parts.sha256:
            parts.sha256 = sha256(f"{parts.sha256}{parts.query.sha256}".encode()).hexdigest()
    return parts


def _parts(folder: Path, front: Front, modules: Sequence[Named], device: torch.device) -> Parts:
    pools = next((n for n, one in enumerate(modules) if one.kind in ("Pooling", "Pool")), None)
    parts = Parts(folder, front.tokenizer, front.model, front.sha256, front.window, place=modules[0].place)
    parts.described = [{"type": one.kind, **one.settings} for one in modules[1:]]
    if front.pooling is not None:
        parts.pooling, pools = registry.make(front.pooling, ("pool",)), 0
    elif pools is None:
        if strange := next((one.kind for one in modules[1:] if one.kind not in HEADS), None):
            raise unknown(folder, strange)
        reason = f"{folder} has no Pooling behind its {modules[0].kind}: it gives {_BY_TOKENS}"
        raise ValueError(f"{reason}; add a Pooling and save it again")
    else:
        parts.model = _on_tokens(folder, front.model, modules[1 : pools + 1], device)
        _pool(parts, modules[pools], device)
    for one in modules[pools + 1 :]:
        if one.kind == "Normalize" and one.writes == "sentence_embedding":
            parts.normalise = True
        elif one.kind in ("Dense", "LayerNorm"):
            if parts.normalise:
                parts.heads.append(Unit())
                parts.normalise = False
            head, parts.head_dim = head_of(folder, one, device)
            parts.heads.append(head)
        elif one.kind != "Dropout":
            raise unknown(folder, one.kind)
    return parts


def _on_tokens(folder: Path, model: Model, modules: Sequence[Named], device: torch.device) -> Model:
    """Put the modules before the pooling, the last of `modules`, behind a model."""
    *found, pooling = modules
    if not found:
        return model
    from cenote.encode.token_modules import TokenModules

    for one in found:
        if one.kind not in ON_TOKENS:
            raise unknown(folder, one.kind)
        if one.kind in ("Dense", "Normalize") and {one.reads, one.writes} != {"token_embeddings"}:
            raise ValueError(f"{folder} has a module {one.kind} before its pooling that is not for token_embeddings")
        if one.kind == "CNN" and (even := [size for size in one.settings["kernel_sizes"] if size % 2 == 0]):
            raise ValueError(f"{one.place} convolves by {even}, which loses tokens; odd kernel_sizes keep them")
        if one.kind == "CNN" and set(one.settings.get("stride_sizes") or [1]) != {1}:
            raise ValueError(f"{one.place} has stride_sizes above 1, which lose tokens")
    by_weight = any(one.kind == "WordWeights" for one in found) and _mean_alone(folder, pooling)
    made = [loaded(folder, one, device) for one in found]
    widths = [module.get_embedding_dimension() for module in made if hasattr(module, "get_embedding_dimension")]
    dim = next((int(width) for width in reversed(widths) if width is not None), model.dim)
    return TokenModules(model, made, dim, by_weight=by_weight)


def _mean_alone(folder: Path, pooling: Named) -> bool:
    """Whether weighted words are pooled by their mean; ValueError where that is one of several, or a root of it."""
    config = registry.config(pooler_of(folder, pooling.settings))
    words = [part["word"] for part in config["poolers"]] if config["word"] == "concat" else [config["word"]]
    if "sqrt" in words or ("mean" in words and len(words) > 1):
        raise ValueError(f"{folder} pools weighted words by {', '.join(words)}; mean alone and others are known")
    return words == ["mean"]


def _pool(parts: Parts, pooling: Named, device: torch.device) -> None:
    """Set the pooling of parts."""
    if pooling.kind == "Pooling":
        parts.pooling = pooler_of(parts.folder, pooling.settings)
        parts.include_prompt = pooling.settings.get("include_prompt", True)
        if not parts.include_prompt and "weighted" in str(registry.config(parts.pooling)):
            reason = f"{parts.folder} pools by weightedmean without the prompt, and counts places from its first token"
            raise ValueError(f"{reason}; only include_prompt=true is known for it")
    elif pooling.type == OWN and pooling.place is not None:
        from cenote.encode.modules import Pool

        subfolder = pooling.place.relative_to(parts.folder).as_posix()
        module = Pool.load(str(parts.folder), subfolder, local_files_only=True)
        parts.pooling, parts.include_prompt = module.pooler.to(device).eval(), module.include_prompt
    else:
        raise unknown(parts.folder, pooling.kind)


def _settings(parts: Parts, settings: dict[str, Any]) -> None:
    similarity = settings.get("similarity_fn_name") or "cosine"
    if similarity not in ("cosine", "dot"):
        raise ValueError(f"{parts.folder} compares by {similarity}; cosine and dot are known")
    parts.similarity = similarity
    parts.prompts = dict(settings.get("prompts") or {})
    parts.prompt_name = settings.get("default_prompt_name")
