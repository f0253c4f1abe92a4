"""MaxSeqAttend: each token takes its greatest value over the last layers, then the first attends to all.

    m_nd = max_{l > L - k} x_lnd
    y = MultiHead(q = m_0, K = V = m)        m_0 the first kept token, [CLS]

This is the variant that its paper names MaxPoolBERT.

Behrendt, Wagner & Harmeling, "MaxPoolBERT: Enhancing BERT Classification via Layer- and Token-Wise Aggregation"
(2505.15696).
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from cenote.pool.base import Empty
from cenote.pool.cls_attend import ClsAttend
from cenote.pool.max_cls import last_layers


class MaxSeqAttend(ClsAttend):
    """(B, L, N, D) -> (B, D).

    last_k: how many of the last layers. Raises ValueError for heads that do not divide dim, and for last_k below 1 or
    above the layers that x holds.
    """

    reads = "all"

    def __init__(
        self, dim: int, last_k: int = 3, heads: int = 4, dropout: float = 0.0, *, empty: Empty = "zero"
    ) -> None:
        super().__init__(dim, heads, dropout, empty=empty)
        if last_k < 1:
            raise ValueError(f"last_k must be at least 1, not {last_k}")
        self.last_k = last_k

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend over the greatest values of the kept tokens."""
        return ClsAttend.padded(self, self._greatest(x, 1), mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Attend over the greatest values of each segment."""
        return ClsAttend.packed(self, self._greatest(x, 0), offsets)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, H, N): the attention of each head."""
        return super().weights(self._greatest(x, 1), mask)

    def _greatest(self, x: Tensor, axis: int) -> Tensor:
        # amax would copy k layers to mask them first: its gradient is NaN where a token left out holds NaN
        return reduce(torch.maximum, last_layers(x, self.last_k, axis=axis).unbind(axis))
