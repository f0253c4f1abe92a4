"""ModernBERT on packed tokens: norms before each part, rotary positions, and a window in most layers.

    h_0 = LN(word[ids])
    a = h + W_o softmax(q k' / sqrt(d)) v,   (q, k, v) = W_qkv LN(h),   q, k rotated; the first layer has no such norm
    h_l = a + W_down (gelu(W_gate x) * W_up x),   x = LN(a);   the last state is LN(h_L)

Warner et al., "Smarter, better, faster, longer" (2412.13663). A layer that slides sees `local_attention` / 2 tokens on
either side, and turns by angles of its own base.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cenote.arrays import Int64
from cenote.encode.attention import Attention
from cenote.encode.norm import Norm
from cenote.encode.packed import Packed, settings
from cenote.encode.products import ACTIVATIONS, Gated, Product
from cenote.encode.rotary import Rotary, thetas_of
from cenote.encode.weights import Weights

_KINDS = {"full_attention": ("global_rope_theta", 160_000.0), "sliding_attention": ("local_rope_theta", 10_000.0)}
"""Kinds of layers, and where older folders say the base of their angles."""


def understands(config: dict[str, Any]) -> bool:
    """Whether a config.json describes a model that this file computes exactly."""
    known = config.get("hidden_activation", "gelu") in ACTIVATIONS and set(_kinds(config)) <= set(_KINDS)
    rotates = thetas_of(config, _KINDS) is not None
    return known and rotates and settings(config, rope_scaling=None)


def _kinds(config: dict[str, Any]) -> list[str]:
    every: int = config.get("global_attn_every_n_layers", 3)
    found = ["sliding_attention" if i % every else "full_attention" for i in range(config["num_hidden_layers"])]
    return config.get("layer_types") or found


@dataclass(frozen=True)
class _Layer:
    kind: str
    before: Norm | None
    qkv: Product
    attended: Product
    between: Norm
    feed_forward: Gated


class PackedModernBert(Packed):
    """The weights of a folder (config.json, model.safetensors) in one type on one device."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = Weights(folder, device, dtype, ("", "model."), "embeddings.tok_embeddings.weight")
        dim, heads, eps = config["hidden_size"], config["num_attention_heads"], config.get("norm_eps", 1e-5)
        near = config.get("local_attention", 128) // 2
        reaches = {"full_attention": None, "sliding_attention": near}
        self._attends = {
            kind: Attention(heads, dim // heads, device, dtype, before=reach, after=reach)
            for kind, reach in reaches.items()
        }
        thetas = thetas_of(config, _KINDS)
        assert thetas is not None
        self._rotaries = {kind: Rotary(theta, dim // heads, 2 * heads, device) for kind, theta in thetas.items()}
        self._words = weights.table("embeddings.tok_embeddings.weight")
        self._norm, self._final = weights.norm("embeddings.norm", eps), weights.norm("final_norm", eps)
        activation: str = config.get("hidden_activation", "gelu")
        self._layers = [_layer(weights, i, kind, activation, eps) for i, kind in enumerate(_kinds(config))]
        depth = len(self._layers)
        super().__init__(weights, dim, depth, self._layers[0].qkv, self._attends["full_attention"])

    def _states(self, ids: Tensor, offsets: Int64) -> Iterator[Tensor]:
        attends = {kind: attention.over(offsets) for kind, attention in self._attends.items()}
        rotates = {kind: rotary.over(offsets) for kind, rotary in self._rotaries.items()}
        h = self._norm(self._words[ids].to(self.dtype))
        for layer in self._layers:
            yield h
            qkv = rotates[layer.kind](layer.qkv(layer.before(h) if layer.before else h))
            a = layer.attended(attends[layer.kind](qkv)).add_(h)
            h = layer.feed_forward(layer.between(a)).add_(a)
        yield self._final(h)


def _layer(weights: Weights, i: int, kind: str, activation: str, eps: float) -> _Layer:
    prefix = f"layers.{i}."
    gate, up = weights.halves(f"{prefix}mlp.Wi", activation)
    return _Layer(
        kind=kind,
        before=weights.norm(f"{prefix}attn_norm", eps) if i else None,
        qkv=weights.product(f"{prefix}attn.Wqkv"),
        attended=weights.product(f"{prefix}attn.Wo"),
        between=weights.norm(f"{prefix}mlp_norm", eps),
        feed_forward=Gated(gate, up, weights.product(f"{prefix}mlp.Wo")),
    )
