"""IDW: a mean weighted by the inverse distance to the plain mean.

    y = sum_n w_n x_n        w_n = d(x_n, m)^-p / sum_j d(x_j, m)^-p,  m = 1/n sum_n x_n

Stergiou & Poppe, "AdaPool: exponential adaptive pooling for information-retaining downsampling" (2111.00772). Tokens at
the mean itself share the whole weight.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from cenote.kernels.segments import masked_softmax, segment_ids, segment_mean, segment_softmax, segment_weighted_sum
from cenote.pool.base import Empty, Pooler


class IDW(Pooler):
    """(B, N, D) -> (B, D).

    metric: d, over the channels: l1, l2, or huber (half the square up to 1, linear beyond). power: p, greater than 0.

    Raises ValueError for another metric or power.
    """

    def __init__(
        self, metric: Literal["l1", "l2", "huber"] = "l2", power: float = 2.0, *, empty: Empty = "zero"
    ) -> None:
        super().__init__(empty=empty)
        if metric not in ("l1", "l2", "huber"):
            raise ValueError(f"metric must be l1, l2 or huber, not {metric!r}")
        if not power > 0:
            raise ValueError(f"power must be greater than 0, not {power}")
        self.metric, self.power = metric, power

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N): the inverse distances over their sum."""
        x = torch.where(mask[:, :, None], x, 0)
        mean = x.sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
        return masked_softmax(self._log_weights(x - mean), mask, 1)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted mean of the kept tokens."""
        x = torch.where(mask[:, :, None], x, 0)
        return torch.einsum("bn,bnd->bd", self.weights(x, mask), x)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the weighted mean of each segment."""
        apart = x - segment_mean(x, offsets)[segment_ids(offsets)]
        weights = segment_softmax(self._log_weights(apart)[:, None], offsets)
        return segment_weighted_sum(weights.squeeze(-1), x, offsets)

    def _log_weights(self, apart: Tensor) -> Tensor:
        """Return -p log d of differences (…, D); for no distance at all, what no other distance reaches."""
        if self.metric == "huber":
            distance = F.huber_loss(apart, torch.zeros_like(apart), reduction="none").sum(-1)
        else:
            distance = torch.linalg.vector_norm(apart, 1 if self.metric == "l1" else 2, -1)
        return -self.power * distance.clamp(min=torch.finfo(apart.dtype).tiny).log()
