"""Gemma 3 as an encoder, on packed tokens: norms before and behind each part, every token sees both sides.

    h_0 = sqrt(D) word[ids]
    a = h + N(W_o softmax(s q k') v),   (q, k, v) = W_qkv N(h),   q, k normed, then rotated
    h_l = a + N(W_down (gelu(W_gate x) * W_up x)),   x = N(a);   the last state is N(h_L)
    N(x) = x / sqrt(mean(x^2) + eps) (1 + w)

Gemma Team, "Gemma 3" (2503.19786); Vera et al., "EmbeddingGemma" (2509.20354). A layer that slides sees half a window
on either side, and turns by angles of its own base. Gemma decoders, which see what stands before only, are not
computed.
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
from cenote.encode.products import ACTIVATIONS, Gated, Product
from cenote.encode.rotary import Rotary, thetas_of
from cenote.encode.weights import Weights

_KINDS = {"full_attention": ("rope_theta", 1_000_000.0), "sliding_attention": ("rope_local_base_freq", 10_000.0)}
"""Kinds of layers, and where older folders say the base of their angles."""


def understands(config: dict[str, Any]) -> bool:
    """Whether a config.json describes a model that this file computes exactly."""
    known = config.get("hidden_activation", "gelu_pytorch_tanh") in ACTIVATIONS and set(_kinds(config)) <= set(_KINDS)
    rotates = thetas_of(config, _KINDS) is not None
    both_sides = config.get("use_bidirectional_attention") is True
    return known and rotates and both_sides and settings(config, attn_logit_softcapping=None, rope_scaling=None)


def _kinds(config: dict[str, Any]) -> list[str]:
    every: int = config.get("sliding_window_pattern", config.get("_sliding_window_pattern", 6))
    depth = config["num_hidden_layers"]
    found = ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(depth)]
    return config.get("layer_types") or found


@dataclass(frozen=True)
class _Layer:
    kind: str
    before: RootNorm
    qkv: Product
    q_norm: RootNorm
    k_norm: RootNorm
    attended: Product
    behind: RootNorm
    between: RootNorm
    feed_forward: Gated
    last: RootNorm


class PackedGemma(Packed):
    """The weights of a folder (config.json, *.safetensors) in one type on one device."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = Weights(folder, device, dtype, ("", "model."), "embed_tokens.weight")
        dim, heads, eps = config["hidden_size"], config["num_attention_heads"], config.get("rms_norm_eps", 1e-6)
        groups, width = config["num_key_value_heads"], config.get("head_dim", 256)
        scale = config.get("query_pre_attn_scalar", 256) ** -0.5
        # the nearest tokens on either side that a window of this size, open at its ends, holds
        near = config.get("sliding_window", 4096) // 2
        reaches = {"full_attention": None, "sliding_attention": near}
        self._attends = {
            kind: Attention(heads, width, device, dtype, key_heads=groups, scale=scale, before=reach, after=reach)
            for kind, reach in reaches.items()
        }
        thetas = thetas_of(config, _KINDS)
        assert thetas is not None
        self._rotaries = {kind: Rotary(theta, width, heads + groups, device) for kind, theta in thetas.items()}
        self._words = weights.table("embed_tokens.weight")
        self._scale = torch.tensor(dim**0.5, device=device).to(dtype)
        self._final = weights.root_norm("norm", eps, above=1.0)
        activation: str = config.get("hidden_activation", "gelu_pytorch_tanh")
        self._layers = [_layer(weights, i, kind, activation, eps) for i, kind in enumerate(_kinds(config))]
        depth = len(self._layers)
        super().__init__(weights, dim, depth, self._layers[0].qkv, self._attends["full_attention"])

    def _states(self, ids: Tensor, offsets: Int64) -> Iterator[Tensor]:
        attends = {kind: attention.over(offsets) for kind, attention in self._attends.items()}
        rotates = {kind: rotary.over(offsets) for kind, rotary in self._rotaries.items()}
        h = self._words[ids].to(self.dtype) * self._scale
        for layer in self._layers:
            yield h
            qkv = layer.qkv(layer.before(h))
            q, k, _ = self.attention.parts(qkv, 1)
            q.copy_(layer.q_norm(q))
            k.copy_(layer.k_norm(k))
            a = h + layer.behind(layer.attended(attends[layer.kind](rotates[layer.kind](qkv))))
            h = a + layer.last(layer.feed_forward(layer.between(a)))
        yield self._final(h)


def _layer(weights: Weights, i: int, kind: str, activation: str, eps: float) -> _Layer:
    def norm(name: str) -> RootNorm:
        return weights.root_norm(f"layers.{i}.{name}", eps, above=1.0)

    def product(*names: str, activation: str | None = None) -> Product:
        return weights.product(*(f"layers.{i}.{name}" for name in names), activation=activation)

    return _Layer(
        kind=kind,
        before=norm("input_layernorm"),
        qkv=product("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        q_norm=norm("self_attn.q_norm"),
        k_norm=norm("self_attn.k_norm"),
        attended=product("self_attn.o_proj"),
        behind=norm("post_attention_layernorm"),
        between=norm("pre_feedforward_layernorm"),
        feed_forward=Gated(
            gate=product("mlp.gate_proj", activation=activation),
            up=product("mlp.up_proj"),
            down=product("mlp.down_proj"),
        ),
        last=norm("post_feedforward_layernorm"),
    )
