"""NomicBERT on packed tokens: a BERT with rotary positions, gated feed-forward parts and no biases but the norms'.

    h_0 = LN(word[ids] + type[0])
    h_l = LN(a + W_down (silu(W_gate a) * W_up a)),   a = LN(h + W_o softmax(q k' / sqrt(d)) v),   q, k rotated

Nussbaum et al., "Nomic Embed" (2402.01613).
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
from cenote.encode.products import Gated, Product
from cenote.encode.rotary import Rotary, theta_of
from cenote.encode.weights import Weights

_THETA = 1000.0


def understands(config: dict[str, Any]) -> bool:
    """Whether a config.json, as transformers writes it, describes a model that this file computes exactly."""
    native = {"hidden_size", "num_attention_heads", "num_hidden_layers"} <= set(config)
    rotates = theta_of(config.get("rope_parameters"), _THETA) is not None
    return native and rotates and settings(config, hidden_act="silu", is_decoder=False)


@dataclass(frozen=True)
class _Layer:
    qkv: Product
    attended: Product
    norm_1: Norm
    feed_forward: Gated
    norm_2: Norm


class PackedNomicBert(Packed):
    """The weights of a folder (config.json, model.safetensors) in one type on one device."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = Weights(folder, device, dtype, ("", "nomic_bert.", "model."), "embeddings.word_embeddings.weight")
        dim, heads = config["hidden_size"], config["num_attention_heads"]
        width = config.get("head_dim") or dim // heads
        theta = theta_of(config.get("rope_parameters"), _THETA)
        assert theta is not None
        self._rotary = Rotary(theta, width, 2 * heads, device)
        eps: float = config.get("layer_norm_eps", 1e-12)
        self._words = weights.table("embeddings.word_embeddings.weight")
        self._type = weights.take("embeddings.token_type_embeddings.weight")[0]
        self._norm = weights.norm("emb_ln", eps)
        depth: int = config["num_hidden_layers"]
        self._layers = [_layer(weights, f"encoder.layers.{i}.", eps) for i in range(depth)]
        super().__init__(weights, dim, depth, self._layers[0].qkv, Attention(heads, width, device, dtype))

    def _states(self, ids: Tensor, offsets: Int64) -> Iterator[Tensor]:
        attend, rotate = self.attention.over(offsets), self._rotary.over(offsets)
        h = self._norm(self._words[ids].to(self.dtype) + self._type)
        yield h
        for layer in self._layers:
            a = layer.norm_1(layer.attended(attend(rotate(layer.qkv(h)))), h)
            h = layer.norm_2(layer.feed_forward(a), a)
            yield h


def _layer(weights: Weights, prefix: str, eps: float) -> _Layer:
    return _Layer(
        qkv=weights.product(f"{prefix}attn.Wqkv"),
        attended=weights.product(f"{prefix}attn.out_proj"),
        norm_1=weights.norm(f"{prefix}norm1", eps),
        feed_forward=Gated(
            gate=weights.product(f"{prefix}mlp.fc12", activation="silu"),
            up=weights.product(f"{prefix}mlp.fc11"),
            down=weights.product(f"{prefix}mlp.fc2"),
        ),
        norm_2=weights.norm(f"{prefix}norm2", eps),
    )
