"""GeM: the generalised mean with a learned exponent.

    y_d = ( 1/n sum_n max(x_nd, eps)^p )^(1/p)      p = 1: the mean; p -> inf: the maximum; p -> -inf: the minimum

Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation" (1711.02512). States of
transformers are negative as often as not, and count as eps there; signed=True keeps them:

    y_d = sgn(S) |S|^(1/p)      S = 1/n sum_n sgn(x_nd) |x_nd|^p
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.kernels.segments import (
    masked_logsumexp,
    masked_max,
    masked_sum,
    segment_ids,
    segment_logsumexp,
    segment_max,
    segment_sum,
)
from cenote.pool.base import Empty, Pooler

NEAREST_TO_ZERO = 1e-3
"""Exponents nearer to 0, where the limit is the geometric mean, count as this: 1/p would magnify rounding."""


class GeM(Pooler):
    """(B, N, D) -> (B, D).

    p: the exponent to begin with, finite and not 0. learn: whether it is trained. eps: the least value, greater than 0.
    signed: as above.

    Raises ValueError for p that is 0 or not finite, and for eps that is not above 0.
    """

    def __init__(
        self, p: float = 3.0, *, learn: bool = True, eps: float = 1e-6, signed: bool = False, empty: Empty = "zero"
    ) -> None:
        super().__init__(empty=empty)
        if not 0 < abs(p) < float("inf"):
            raise ValueError(f"p must not be 0 and must be finite, not {p}; the geometric mean has an exponent near 0")
        if not eps > 0:
            raise ValueError(f"eps must be greater than 0, not {eps}")
        self.p, self.learn, self.eps, self.signed = p, learn, eps, signed
        self.exponent = nn.Parameter(torch.full((1,), float(p)), requires_grad=learn)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the generalised mean of the kept tokens per channel."""
        x, counts = torch.where(mask[:, :, None], x, 1), mask.sum(1, keepdim=True)
        logs = self._logs(x)
        if not self.signed:
            return self._root(masked_logsumexp(logs, mask), counts)
        most = masked_max(logs.detach(), mask)
        powers = (logs - most[:, None]).exp() * x.sign()
        return self._signed_root(most, masked_sum(powers, mask), counts)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the generalised mean of each segment per channel."""
        logs, counts = self._logs(x), offsets.diff()[:, None]
        if not self.signed:
            return self._root(segment_logsumexp(logs, offsets), counts)
        most = segment_max(logs.detach(), offsets)
        powers = (logs - most.index_select(0, segment_ids(offsets))).exp() * x.sign()
        return self._signed_root(most, segment_sum(powers, offsets), counts)

    def _logs(self, x: Tensor) -> Tensor:
        """Return the logarithms of the powers: so none overflows, and a power of a power costs a product."""
        sizes = (x.abs() if self.signed else x).clamp(min=self.eps)
        return sizes.log() * self._exponents(x.shape[-1])

    def _root(self, log_sum: Tensor, counts: Tensor) -> Tensor:
        logs: Tensor = log_sum - counts.clamp(min=1).to(log_sum.dtype).log()
        return (logs / self._exponents(logs.shape[-1])).exp()

    def _signed_root(self, most: Tensor, total: Tensor, counts: Tensor) -> Tensor:
        # a root of powers that cancel has no slope
        size = total.abs().clamp(min=torch.finfo(total.dtype).tiny)
        return total.sign() * self._root(most + size.log(), counts)

    def _exponents(self, dim: int) -> Tensor:
        """Return p, one a channel; the exponents stand for groups of as many neighbours."""
        p = self.exponent
        far = torch.where(p < 0, p.clamp(max=-NEAREST_TO_ZERO), p.clamp(min=NEAREST_TO_ZERO))
        far = p + (far - p).detach()  # the slope of p itself, so that training does not stop there
        return far.repeat_interleave(dim // len(p))
