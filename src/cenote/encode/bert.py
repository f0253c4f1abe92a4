"""BERT-like encoders on packed tokens: no padding is ever computed.

    h_0 = LN(word[ids] + position[0..n) + type[0])
    h_l = LN(a + W_o gelu(W_i a)),   a = LN(h + W_a softmax(q k' / sqrt(d)) v),   (q, k, v) = W_qkv h

Devlin et al., "BERT" (1810.04805); Liu et al., "RoBERTa" (1907.11692), whose positions begin behind that of padding;
Sanh et al., "DistilBERT" (1910.01108), without types. Products, norms and the feed-forward part run on the packed
matrix (M, D), attention on one row at a time, so no row ever sees another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cenote.arrays import Int64
from cenote.encode.attention import Attention
from cenote.encode.norm import Norm
from cenote.encode.products import Product


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


_BERT, _ROBERTA = _Names(("", "bert.", "model.")), _Names(("", "roberta.", "model."))
_FAMILIES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
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


def understands(config: dict[str, object]) -> bool:
    """Whether a config.json describes a model that this file computes exactly."""
    names = _FAMILIES.get(str(config.get("model_type")))
    if names is None:
        return False
    wanted = {names.activation: "gelu", "position_embedding_type": "absolute", "is_decoder": False}
    return all(config.get(key, value) == value for key, value in wanted.items())


class PackedBert:
    """The weights of a folder (config.json, model.safetensors) in one type on one device.

    Raises ValueError for a model it does not understand.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not understands(config):
            raise ValueError(f"{folder} holds a {config.get('model_type')} model, not one the packed path computes")
        names = _FAMILIES[config["model_type"]]
        weights = load_file(folder / "model.safetensors")
        prefix = next(p for p in names.prefixes if f"{p}embeddings.word_embeddings.weight" in weights)

        def take(name: str) -> Tensor:
            tensor: Tensor = weights[prefix + name]
            return tensor.to(device=device, dtype=dtype)

        self.device, self.dtype = device, dtype
        self.dim: int = config[names.dim]
        self.depth: int = config[names.depth]
        self.concurrent = device.type == "cpu"
        self._attention = Attention(config[names.heads], self.dim // config[names.heads], device, dtype)
        eps: float = config.get("layer_norm_eps", 1e-12)
        # on a CPU the table stays in its file, and only the rows that are asked for are read and converted
        words = weights[prefix + "embeddings.word_embeddings.weight"]
        self._words = words if device.type == "cpu" else words.to(device, dtype)
        self._padding: int | None = config["pad_token_id"] if names is _ROBERTA else None
        self._places = take("embeddings.position_embeddings.weight")
        if f"{prefix}embeddings.token_type_embeddings.weight" in weights:
            self._places = self._places + take("embeddings.token_type_embeddings.weight")[0]
        self._norm = Norm(take("embeddings.LayerNorm.weight"), take("embeddings.LayerNorm.bias"), eps)
        self._layers = [_layer(take, f"{names.layers}{i}.", names, eps) for i in range(self.depth)]
        products = "prepacked" if self._layers[0].qkv.prepacked else "plain"
        self.computed_by = f"packed rows, {products} products, {self._attention.kernel} attention"

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {layer: (M, D)} for ids (M,) of rows with `lengths`."""
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = self._places_of(ids, offsets)
        attend = self._attention.over(offsets)
        h = self._norm(self._words[ids].to(self.dtype), self._places[places])
        found = {0: h} if 0 in layers else {}
        for i, layer in enumerate(self._layers, 1):
            a = layer.norm_1(layer.attended(attend(layer.qkv(h))), h)
            h = layer.norm_2(layer.outer(layer.inner(a)), a)
            if i in layers:
                found[i] = h
        return found

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


def _layer(take: Callable[[str], Tensor], prefix: str, named: _Names, eps: float) -> _Layer:
    def product(*names: str, activation: str | None = None) -> Product:
        weights, biases = ([take(f"{prefix}{name}.{part}") for name in names] for part in ("weight", "bias"))
        return Product(torch.cat(weights) if weights[1:] else weights[0], torch.cat(biases), activation)

    def norm(name: str) -> Norm:
        return Norm(take(f"{prefix}{name}.weight"), take(f"{prefix}{name}.bias"), eps)

    return _Layer(
        qkv=product(*named.qkv),
        attended=product(named.attended),
        norm_1=norm(named.norm_1),
        inner=product(named.inner, activation="gelu"),
        outer=product(named.outer),
        norm_2=norm(named.norm_2),
    )
