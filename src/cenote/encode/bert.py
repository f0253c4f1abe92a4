"""BERT-like encoders on packed tokens: no padding is ever computed.

    h_0 = LN(word[ids] + position[0..n) + type[0])
    h_l = LN(a + W_o gelu(W_i a)),   a = LN(h + W_a softmax(q k' / sqrt(d)) v),   (q, k, v) = W_qkv h

Devlin et al., "BERT" (1810.04805). Products, norms and the feed-forward part run on the packed matrix (M, D), attention
on one row at a time, so no row ever sees another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cenote.encode.attention import Attention
from cenote.encode.norm import Norm
from cenote.encode.products import Product

_PREFIXES = ("", "bert.", "model.")


@dataclass(frozen=True)
class _Layer:
    qkv: Product
    attended: Product
    norm_1: Norm
    inner: Product
    outer: Product
    norm_2: Norm


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
        self.dim: int = config["hidden_size"]
        self.depth: int = config["num_hidden_layers"]
        self.positions: int = config["max_position_embeddings"]
        self.concurrent = device.type == "cpu"
        self._attention = Attention(self.dim, config["num_attention_heads"], device, dtype)
        eps: float = config["layer_norm_eps"]
        # on a CPU the table stays in its file, and only the rows that are asked for are read and converted
        words = weights[prefix + "embeddings.word_embeddings.weight"]
        self._words = words if device.type == "cpu" else words.to(device, dtype)
        self._places = (
            take("embeddings.position_embeddings.weight") + take("embeddings.token_type_embeddings.weight")[0]
        )
        self._norm = Norm(take("embeddings.LayerNorm.weight"), take("embeddings.LayerNorm.bias"), eps)
        self._layers = [_layer(take, f"encoder.layer.{i}.", eps) for i in range(self.depth)]
        products = "prepacked" if self._layers[0].qkv.prepacked else "plain"
        self.computed_by = f"packed rows, {products} products, {self._attention.kernel} attention"

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {layer: (M, D)} for ids (M,) of rows with `lengths`."""
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = torch.from_numpy(np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)).to(self.device)
        attend = self._attention.over(offsets)
        h = self._norm(self._words[ids].to(self.dtype), self._places[places])
        found = {0: h} if 0 in layers else {}
        for i, layer in enumerate(self._layers, 1):
            a = layer.norm_1(layer.attended(attend(layer.qkv(h))), h)
            h = layer.norm_2(layer.outer(layer.inner(a)), a)
            if i in layers:
                found[i] = h
        return found


def _layer(take: Callable[[str], Tensor], prefix: str, eps: float) -> _Layer:
    def product(*names: str, gelu: bool = False) -> Product:
        weights, biases = ([take(f"{prefix}{name}.{part}") for name in names] for part in ("weight", "bias"))
        return Product(torch.cat(weights) if weights[1:] else weights[0], torch.cat(biases), gelu=gelu)

    def norm(name: str) -> Norm:
        return Norm(take(f"{prefix}{name}.weight"), take(f"{prefix}{name}.bias"), eps)

    return _Layer(
        qkv=product(*(f"attention.self.{name}" for name in ("query", "key", "value"))),
        attended=product("attention.output.dense"),
        norm_1=norm("attention.output.LayerNorm"),
        inner=product("intermediate.dense", gelu=True),
        outer=product("output.dense"),
        norm_2=norm("output.LayerNorm"),
    )
