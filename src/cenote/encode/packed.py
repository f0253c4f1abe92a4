"""What packed encoders have in common: rows of different lengths, end to end in one matrix, layer after layer.

A family is a file with `understands(config)`, which is exact, and a class that yields its states; `families` lists
them. Products, norms and the feed-forward part run on the packed matrix (M, D), attention on one row at a time, so no
row ever sees another and no padding is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cenote.arrays import Int64
from cenote.encode.attention import Attention
from cenote.encode.products import Product
from cenote.encode.weights import Weights


class Packed:
    """An encoder in one type on one device; `computed_by` says what computes it."""

    def __init__(self, weights: Weights, dim: int, depth: int, product: Product, attention: Attention) -> None:
        self.device, self.dtype, self.dim, self.depth = weights.device, weights.dtype, dim, depth
        self.concurrent = weights.device.type == "cpu"
        self.attention = attention
        products = "prepacked" if product.prepacked else "plain"
        self.computed_by = f"packed rows, {products} products, {attention.kernel} attention"

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {layer: (M, D)} for ids (M,) of rows with `lengths`."""
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return {i: h for i, h in enumerate(self._states(ids, offsets)) if i in layers}

    def _states(self, ids: Tensor, offsets: Int64) -> Iterator[Tensor]:
        """Yield (M, D) of layer 0, the embedding output, and of every block; the last behind the final norm."""
        raise NotImplementedError


def settings(config: dict[str, Any], **wanted: Any) -> bool:
    """Whether what a config says of these settings, or leaves to its model's defaults, is what is wanted."""
    return all(config.get(key, value) == value for key, value in wanted.items())
