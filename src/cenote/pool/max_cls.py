"""MaxCls: the greatest value that the first token takes over the last layers, per channel.

    y_d = max_{l > L - k} x_l0d        x_l0 the state of the first kept token, [CLS], after layer l

Behrendt, Wagner & Harmeling, "MaxPoolBERT: Enhancing BERT Classification via Layer- and Token-Wise Aggregation"
(2505.15696).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.kernels.segments import first_kept, segment_first
from cenote.pool.base import Empty, Pooler


class MaxCls(Pooler):
    """(B, L, N, D) -> (B, D).

    last_k: how many of the last layers. Raises ValueError for last_k below 1 or above the layers that x holds.
    """

    reads = "all"
    order = "ordered"
    scaling = "max"

    def __init__(self, last_k: int = 3, *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        if last_k < 1:
            raise ValueError(f"last_k must be at least 1, not {last_k}")
        self.last_k = last_k

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the greatest value of the first kept token over the last layers."""
        return first_kept(last_layers(x, self.last_k, axis=1).transpose(1, 2), mask).amax(1)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the greatest value of each segment's first token over the last layers."""
        last = last_layers(x, self.last_k, axis=0)
        return torch.stack([segment_first(layer, offsets) for layer in last]).amax(0)


def last_layers(x: Tensor, last_k: int, *, axis: int) -> Tensor:
    """Return the last_k last layers of x as a view.

    Raises ValueError where x holds fewer.
    """
    layers = x.shape[axis]
    if last_k > layers:
        raise ValueError(
            f"last_k={last_k} but x holds {layers} layers; give all that the model has, or a smaller last_k"
        )
    return x.narrow(axis, layers - last_k, last_k)
