"""Modules of sentence-transformers between a model and its pooling, behind the model's own interface.

    ids --model--> layers 0..L --padded--> modules in their order --packed--> the last layer

Layers below the last are the model's own. Each text is computed as if it stood alone: the padding that a convolution
sees is zeros.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from cenote.encode.model import Model


class TokenModules:
    """A model with modules behind it.

    dim: the width that the last of them gives. by_weight: whether the states are scaled so that their mean is the
    mean weighted by `WordWeights`.
    """

    concurrent = False

    def __init__(self, model: Model, modules: Sequence[Any], dim: int, *, by_weight: bool = False) -> None:
        self._model, self._modules, self._by_weight = model, modules, by_weight
        self.dim, self.depth, self.device = dim, model.depth, model.device
        self._all = any(type(module).__name__ == "WeightedLayerPooling" for module in modules)
        self.computed_by = f"{model.computed_by}, and {' and '.join(type(module).__name__ for module in modules)}"

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {layer: (M, D)} for ids (M,) of rows with `lengths`."""
        if self.depth not in layers:
            return self._model(ids, lengths, layers)
        every = range(self.depth + 1) if self._all else {*layers}
        found = self._model(ids, lengths, every)
        sizes = torch.tensor(lengths, device=self.device)
        real = torch.arange(max(lengths), device=self.device)[None, :] < sizes[:, None]
        features: dict[str, Any] = {
            "input_ids": _padded(ids, real),
            "attention_mask": real.long(),
            "sentence_lengths": sizes,
            "token_embeddings": _padded(found[self.depth].float(), real),
        }
        if self._all:
            features["all_layer_embeddings"] = [_padded(found[layer].float(), real) for layer in every]
        for module in self._modules:
            features = module(features)
        x: Tensor = features["token_embeddings"]
        if self._by_weight:
            x = x * (sizes / features["token_weights_sum"].clamp(min=1e-9))[:, None, None]
        return {layer: found[layer] for layer in layers} | {self.depth: x[real]}


def _padded(x: Tensor, real: Tensor) -> Tensor:
    """Return x (M, …) as (B, N, …), zeros where there is no token."""
    out = x.new_zeros(*real.shape, *x.shape[1:])
    out[real] = x
    return out
