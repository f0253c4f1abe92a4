"""Qwen decoders as encoders, on packed tokens: a token sees itself and what stands before it.

    h_0 = word[ids]
    a = h + W_o softmax(q k' / sqrt(d)) v,   (q, k, v) = W_qkv N(h),   q, k normed in Qwen3, then rotated
    h_l = a + W_down (silu(W_gate x) * W_up x),   x = N(a);   the last state is N(h_L)
    N(x) = x / sqrt(mean(x^2) + eps) w

Yang et al., "Qwen2" (2407.10671), with biases in W_qkv; "Qwen3" (2505.09388), and the encoders made from it, "Qwen3
Embedding" (2506.05176). Several heads of queries share one of keys and values.
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
from cenote.encode.norm import RootNorm
from cenote.encode.packed import Packed, settings
from cenote.encode.products import Gated, Product
from cenote.encode.rotary import Rotary, theta_of
from cenote.encode.weights import Weights

_THETA = 10_000.0


def understands(config: dict[str, Any]) -> bool:
    """Whether a config.json describes a model that this file computes exactly."""
    sees_all = set(config.get("layer_types") or ["full_attention"]) == {"full_attention"}
    plain = settings(config, hidden_act="silu", use_sliding_window=False, is_causal=True, rope_scaling=None)
    return sees_all and plain and _theta(config) is not None


def _theta(config: dict[str, Any]) -> float | None:
    return theta_of(config.get("rope_parameters"), config.get("rope_theta", _THETA))


@dataclass(frozen=True)
class _Layer:
    before: RootNorm
    qkv: Product
    q_norm: RootNorm | None
    k_norm: RootNorm | None
    attended: Product
    between: RootNorm
    feed_forward: Gated


class PackedQwen(Packed):
    """The weights of a folder (config.json, *.safetensors) in one type on one device."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = Weights(folder, device, dtype, ("", "model."), "embed_tokens.weight")
        dim, heads, eps = config["hidden_size"], config["num_attention_heads"], config.get("rms_norm_eps", 1e-6)
        groups = config.get("num_key_value_heads") or heads
        # the default of Qwen3's own configuration is wider than a share of the states
        width = config.get("head_dim") or (128 if config["model_type"] == "qwen3" else dim // heads)
        theta = _theta(config)
        assert theta is not None
        self._rotary = Rotary(theta, width, heads + groups, device)
        self._words = weights.table("embed_tokens.weight")
        self._final = weights.root_norm("norm", eps)
        depth: int = config["num_hidden_layers"]
        self._layers = [_layer(weights, f"layers.{i}.", eps) for i in range(depth)]
        attention = Attention(heads, width, device, dtype, key_heads=groups, after=0)
        super().__init__(weights, dim, depth, self._layers[0].qkv, attention)

    def _states(self, ids: Tensor, offsets: Int64) -> Iterator[Tensor]:
        attend, rotate = self.attention.over(offsets), self._rotary.over(offsets)
        h = self._words[ids].to(self.dtype)
        for layer in self._layers:
            yield h
            qkv = layer.qkv(layer.before(h))
            if layer.q_norm and layer.k_norm:
                q, k, _ = self.attention.parts(qkv, 1)
                q.copy_(layer.q_norm(q))
                k.copy_(layer.k_norm(k))
            a = layer.attended(attend(rotate(qkv))).add_(h)
            h = layer.feed_forward(layer.between(a)).add_(a)
        yield self._final(h)


def _layer(weights: Weights, prefix: str, eps: float) -> _Layer:
    has_norms = f"{prefix}self_attn.q_norm.weight" in weights
    return _Layer(
        before=weights.root_norm(f"{prefix}input_layernorm", eps),
        qkv=weights.product(*(f"{prefix}self_attn.{part}_proj" for part in "qkv")),
        q_norm=weights.root_norm(f"{prefix}self_attn.q_norm", eps) if has_norms else None,
        k_norm=weights.root_norm(f"{prefix}self_attn.k_norm", eps) if has_norms else None,
        attended=weights.product(f"{prefix}self_attn.o_proj"),
        between=weights.root_norm(f"{prefix}post_attention_layernorm", eps),
        feed_forward=Gated(
            gate=weights.product(f"{prefix}mlp.gate_proj", activation="silu"),
            up=weights.product(f"{prefix}mlp.up_proj"),
            down=weights.product(f"{prefix}mlp.down_proj"),
        ),
    )
