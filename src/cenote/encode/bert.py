"""BERT-like encoders on packed tokens: no padding is ever computed.

    h_0 = LN(word[ids] + position[0..n) + type[0])
    h_l = LN(a + W_o gelu(W_i a)),   a = LN(h + W_a softmax(q k' / sqrt(d)) v),   (q, k, v) = W_qkv h

Devlin et al., "BERT" (1810.04805). Products, norms and the feed-forward part run on the packed matrix (M, D). Attention
runs on groups of rows of equal length, which sorted batches make large, so no row ever sees another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

_PREFIXES = ("", "bert.", "model.")


@dataclass(frozen=True)
class _Layer:
    qkv: Tensor
    qkv_bias: Tensor
    attended: Tensor
    attended_bias: Tensor
    norm_1: Tensor
    norm_1_bias: Tensor
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor
    norm_2: Tensor
    norm_2_bias: Tensor


def understands(config: dict[str, object]) -> bool:
    """Whether a config.json describes a model that this file computes exactly."""
    wanted = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
    return all(config.get(key, value) == value for key, value in wanted.items()) and "model_type" in config


class PackedBert:
    """The weights of a folder (config.json, model.safetensors) in one type on one device.

    Raises ValueError for a model it does not understand.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not understands(config):
            raise ValueError(f"{folder} holds a {config.get('model_type')} model, not one the packed path computes")
        weights = load_file(folder / "model.safetensors")
        prefix = next(p for p in _PREFIXES if f"{p}embeddings.word_embeddings.weight" in weights)

        def take(name: str) -> Tensor:
            tensor: Tensor = weights[prefix + name]
            return tensor.to(device=device, dtype=dtype)

        self.device, self.dtype = device, dtype
        self.heads: int = config["num_attention_heads"]
        self.eps: float = config["layer_norm_eps"]
        self.dim: int = config["hidden_size"]
        self.depth: int = config["num_hidden_layers"]
        self.positions: int = config["max_position_embeddings"]
        self._words = take("embeddings.word_embeddings.weight")
        self._places = (
            take("embeddings.position_embeddings.weight") + take("embeddings.token_type_embeddings.weight")[0]
        )
        self._norm = take("embeddings.LayerNorm.weight"), take("embeddings.LayerNorm.bias")
        self._layers = [_layer(take, f"encoder.layer.{i}.") for i in range(self.depth)]

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {layer: (M, D)} for ids (M,) of rows with `lengths`; equal lengths must stand together."""
        places = torch.cat([torch.arange(n, device=self.device) for n in lengths]) if lengths else ids
        h = F.layer_norm(self._words[ids] + self._places[places], (self.dim,), *self._norm, self.eps)
        found = {0: h} if 0 in layers else {}
        groups = list(_equal(lengths))
        for i, layer in enumerate(self._layers, 1):
            attended = F.linear(self._attend(F.linear(h, layer.qkv, layer.qkv_bias), groups), layer.attended)
            h = F.layer_norm(attended + layer.attended_bias + h, (self.dim,), layer.norm_1, layer.norm_1_bias, self.eps)
            inner = F.gelu(F.linear(h, layer.inner, layer.inner_bias))
            outer = F.linear(inner, layer.outer, layer.outer_bias)
            h = F.layer_norm(outer + h, (self.dim,), layer.norm_2, layer.norm_2_bias, self.eps)
            if i in layers:
                found[i] = h
        return found

    def _attend(self, qkv: Tensor, groups: list[tuple[int, int, int]]) -> Tensor:
        """Return (M, D): softmax(q k' / sqrt(d)) v inside every row. qkv (M, 3 D)."""
        out = qkv.new_empty(len(qkv), self.dim)
        for start, rows, length in groups:
            part = qkv[start : start + rows * length].view(rows, length, 3, self.heads, -1)
            q, k, v = part.permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
            out[start : start + rows * length].view(rows, length, self.heads, -1).copy_(attended)
        return out


def _equal(lengths: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (first token, rows, length) of each run of rows of equal length."""
    at = i = 0
    while i < len(lengths):
        j = i
        while j < len(lengths) and lengths[j] == lengths[i]:
            j += 1
        if lengths[i]:
            yield at, j - i, lengths[i]
        at, i = at + (j - i) * lengths[i], j


def _layer(take: Callable[[str], Tensor], prefix: str) -> _Layer:
    parts = [f"{prefix}attention.self.{name}." for name in ("query", "key", "value")]
    return _Layer(
        qkv=torch.cat([take(part + "weight") for part in parts]),
        qkv_bias=torch.cat([take(part + "bias") for part in parts]),
        attended=take(prefix + "attention.output.dense.weight"),
        attended_bias=take(prefix + "attention.output.dense.bias"),
        norm_1=take(prefix + "attention.output.LayerNorm.weight"),
        norm_1_bias=take(prefix + "attention.output.LayerNorm.bias"),
        inner=take(prefix + "intermediate.dense.weight"),
        inner_bias=take(prefix + "intermediate.dense.bias"),
        outer=take(prefix + "output.dense.weight"),
        outer_bias=take(prefix + "output.dense.bias"),
        norm_2=take(prefix + "output.LayerNorm.weight"),
        norm_2_bias=take(prefix + "output.LayerNorm.bias"),
    )
