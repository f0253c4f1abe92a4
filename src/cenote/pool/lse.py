"""LSE: the logarithm of the mean of powers, between the mean and the greatest value per channel.

    y_d = 1/r log( 1/n sum_n exp(r x_nd) )        r -> 0: the mean; r -> infinity: the maximum; r < 0: the minimum

Pinheiro & Collobert, "From image-level to pixel-level labeling with convolutional networks" (1411.6228), where r is a
constant; learn=True trains it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.kernels.segments import masked_logsumexp, segment_logsumexp
from cenote.pool.base import Empty, Pooler


class LSE(Pooler):
    """(B, N, D) -> (B, D).

    r: how near to the maximum, finite and not 0. Raises ValueError for any other.
    """

    def __init__(self, r: float = 10.0, *, learn: bool = False, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        if not 0 < abs(r) < float("inf"):
            raise ValueError(f"r must not be 0 and must be finite, not {r}; for the limits use `mean`, `max` or `min`")
        self.r, self.learn = r, learn
        self.sharpness = nn.Parameter(torch.tensor(float(r))) if learn else r

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return 1/r log mean exp(r x) over the kept tokens."""
        if self.learn:
            x = self.sharpness * torch.where(mask[:, :, None], x, 0)  # NaN times a gradient of 0 would reach r
        log_sum = masked_logsumexp(x, mask, 1.0 if self.learn else self.r)
        return (log_sum - _log(mask.sum(1), x)) / self.sharpness

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return 1/r log mean exp(r x) of each segment."""
        log_sum = (
            segment_logsumexp(self.sharpness * x, offsets) if self.learn else segment_logsumexp(x, offsets, self.r)
        )
        return (log_sum - _log(offsets.diff(), x)) / self.sharpness


def _log(counts: Tensor, x: Tensor) -> Tensor:
    return counts.clamp(min=1).to(x.dtype).log()[:, None]
