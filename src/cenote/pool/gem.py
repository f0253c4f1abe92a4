"""GeM: the generalised mean with a learned exponent.

    y_d = ( 1/n sum_n max(x_nd, eps)^p )^(1/p)      p = 1: the mean; p -> inf: the maximum; p -> -inf: the minimum

Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation" (1711.02512). States of
transformers are negative as often as not, and count as eps there; signed=True keeps them:

    y_d = sgn(S) |S|^(1/p)      S = 1/n sum_n sgn(x_nd) |x_nd|^p
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cenote.kernels.segments import masked_logsumexp, segment_logsumexp
from cenote.pool.base import Empty, Pooler

NEAREST_TO_ZERO = 1e-3
"""Exponents nearer to 0, where the limit is the geometric mean, count as this: 1/p would magnify rounding."""


class GeM(Pooler):
    """(B, N, D) -> (B, D).

    p: the exponent to begin with, not 0. learn: whether it is trained. eps: the least value, greater than 0. signed: as
    above.

    Raises ValueError for p that is 0 or eps that is not above it.
    """

    def __init__(
        self, p: float = 3.0, *, learn: bool = True, eps: float = 1e-6, signed: bool = False, empty: Empty = "zero"
    ) -> None:
        super().__init__(empty=empty)
        if not p:
            raise ValueError("p must not be 0; for the geometric mean give an exponent near it, such as 0.001")
        if not eps > 0:
            raise ValueError(f"eps must be greater than 0, not {eps}")
        self.p, self.learn, self.eps, self.signed = p, learn, eps, signed
        self.exponent = nn.Parameter(torch.full((1,), float(p)), requires_grad=learn)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the generalised mean of the kept tokens per channel."""
        logs = mask.sum(1).clamp(min=1).to(x.dtype).log()[:, None]
        return self._mean(torch.where(mask[:, :, None], x, 1), lambda x: masked_logsumexp(x, mask) - logs)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the generalised mean of each segment per channel."""
        logs = offsets.diff().clamp(min=1).to(x.dtype).log()[:, None]
        return self._mean(x, lambda x: segment_logsumexp(x, offsets) - logs)

    def _mean(self, x: Tensor, log_mean_exp: Callable[[Tensor], Tensor]) -> Tensor:
        # through logarithms no power overflows, whatever p becomes
        p = self._exponents(x.shape[-1])
        above = log_mean_exp(p * x.clamp(min=self.eps).log())
        if not self.signed:
            return (above / p).exp()
        below = log_mean_exp(p * (-x).clamp(min=self.eps).log())
        # S = exp(above) - exp(below); where the two cancel the root has no slope, and the least positive number none
        apart = -torch.expm1(-(above - below).abs()).clamp(max=-torch.finfo(x.dtype).tiny)
        return (above - below).sign() * (torch.maximum(above, below) / p).exp() * apart.pow(1 / p)

    def _exponents(self, dim: int) -> Tensor:
        """Return p, one a channel; the exponents stand for groups of as many neighbours."""
        p = self.exponent
        far = torch.where(p < 0, p.clamp(max=-NEAREST_TO_ZERO), p.clamp(min=NEAREST_TO_ZERO))
        far = p + (far - p).detach()  # the slope of p itself, so that training does not stop there
        return far.repeat_interleave(dim // len(p))
