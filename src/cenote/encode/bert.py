"""BERT-like encoders on packed tokens.

    h_0 = LN(word[ids] + position[0..n) + type[0])
    h_l = LN(a + W_o gelu(W_i a)),   a = LN(h + W_a softmax(q k' / sqrt(d) + bias) v),   (q, k, v) = W_qkv h

Devlin et al., "BERT" (1810.04805); Liu et al., "RoBERTa" (1907.11692), whose positions begin behind that of padding;
Sanh et al., "DistilBERT" (1910.01108), without types; Song et al., "MPNet" (2004.09297), which adds a bias by distance
to the scores of every layer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cenote.arrays import Int64
from cenote.encode.attention import Attention
from cenote.encode.norm import Norm
from cenote.encode.packed import Packed, settings
from cenote.encode.products import Product
from cenote.encode.relative import by_distance
from cenote.encode.weights import Weights


@dataclass(frozen=True)
class _Names:
    """What a family calls its settings and weights."""

    prefixes: tuple[str, ...]
    layers: str = "encoder.layer."
    qkv: tuple[str, ...] = ("attention.self.query", "attention.self.key", "attention.self.value")
    attended: str = "attention.output.dense"
    norm_1: str = "attention.output.LayerNorm"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    norm_2: str = "output.LayerNorm"
    dim: str = "hidden_size"
    depth: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    activation: str = "hidden_act"
    padding: str | int | None = None
    """The setting that holds the place of padding, or that place, where others are counted from it."""
    bias: str | None = None


_BERT = _Names(("", "bert.", "model."))
_ROBERTA = _Names(("", "roberta.", "model."), padding="pad_token_id")
_FAMILIES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "mpnet": _Names(
        prefixes=("", "mpnet.", "model."),
        qkv=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        attended="attention.attn.o",
        norm_1="attention.LayerNorm",
        padding=1,
        bias="encoder.relative_attention_bias.weight",
    ),
    "distilbert": _Names(
        prefixes=("", "distilbert.", "model."),
        layers="transformer.layer.",
        qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        attended="attention.out_lin",
        norm_1="sa_layer_norm",
        inner="ffn.lin1",
        outer="ffn.lin2",
        norm_2="output_layer_norm",
        dim="dim",
        depth="n_layers",
        heads="n_heads",
        activation="activation",
    ),
}


@dataclass(frozen=True)
class _Layer:
    qkv: Product
    attended: Product
    norm_1: Norm
    inner: Product
    outer: Product
    norm_2: Norm


def understands(config: dict[str, Any]) -> bool:
    """Whether a config.json describes a model that this file computes exactly."""
    names = _FAMILIES.get(str(config.get("model_type")))
    return names is not None and settings(
        config,
        **{names.activation: "gelu"},
        position_embedding_type="absolute",
        is_decoder=False,
        add_cross_attention=False,
        relative_attention_num_buckets=32,
    )


class PackedBert(Packed):
    """The weights of a folder (config.json, model.safetensors) in one type on one device."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = _FAMILIES[config["model_type"]]
        weights = Weights(folder, device, dtype, names.prefixes, "embeddings.word_embeddings.weight")
        dim, depth, heads = config[names.dim], config[names.depth], config[names.heads]
        eps: float = config.get("layer_norm_eps", 1e-12)
        bias = by_distance(weights.take(names.bias)) if names.bias else None
        attention = Attention(heads, dim // heads, device, dtype, bias=bias)
        self._words = weights.table("embeddings.word_embeddings.weight")
        self._padding: int | None = config[names.padding] if isinstance(names.padding, str) else names.padding
        self._places = weights.take("embeddings.position_embeddings.weight")
        if "embeddings.token_type_embeddings.weight" in weights:
            self._places = self._places + weights.take("embeddings.token_type_embeddings.weight")[0]
        self._norm = weights.norm("embeddings.LayerNorm", eps)
        self._layers = [_layer(weights, f"{names.layers}{i}.", names, eps) for i in range(depth)]
        super().__init__(weights, dim, depth, self._layers[0].qkv, attention)

    def _states(self, ids: Tensor, offsets: Int64) -> Iterator[Tensor]:
        places = self._places_of(ids, offsets)
        attend = self.attention.over(offsets)
        h = self._norm(self._words[ids].to(self.dtype), self._places[places])
        yield h
        for layer in self._layers:
            a = layer.norm_1(layer.attended(attend(layer.qkv(h))), h)
            h = layer.norm_2(layer.outer(layer.inner(a)), a)
            yield h

    def _places_of(self, ids: Tensor, offsets: Int64) -> Tensor:
        """Return int64 (M,): where each token stands in its row."""
        lengths = np.diff(offsets)
        if self._padding is None:
            found = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        else:
            # also a padding token that was written into a text stands at the place of padding, and is not counted
            real = ids.cpu().numpy() != self._padding
            before = np.concatenate([[0], np.cumsum(real)])
            found = np.where(real, before[1:] - np.repeat(before[offsets[:-1]], lengths), 0) + self._padding
        return torch.from_numpy(found).to(self.device)


def _layer(weights: Weights, prefix: str, names: _Names, eps: float) -> _Layer:
    return _Layer(
        qkv=weights.product(*(prefix + name for name in names.qkv)),
        attended=weights.product(prefix + names.attended),
        norm_1=weights.norm(prefix + names.norm_1, eps),
        inner=weights.product(prefix + names.inner, activation="gelu"),
        outer=weights.product(prefix + names.outer),
        norm_2=weights.norm(prefix + names.norm_2, eps),
    )
