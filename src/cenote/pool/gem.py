"""GeM: the generalised mean with a learned exponent.

    y_d = ( 1/n sum_n max(x_nd, eps)^p )^(1/p)      p = 1: the mean; p -> inf: the maximum; p -> -inf: the minimum

Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation" (1711.02512). States of
transformers are negative as often as not, and count as eps there; signed=True keeps them:

    y_d = sgn(S) |S|^(1/p)      S = 1/n sum_n sgn(x_nd) |x_nd|^p
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.kernels.segments import first_kept, segment_ids, segment_max, segment_mean
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
        # what is left out is no extreme, and of no weight
        x = torch.where(mask[:, :, None], x, first_kept(x, mask)[:, None])
        weights = mask / mask.sum(1, keepdim=True).clamp(min=1).to(x.dtype)
        sizes = self._sizes(x)
        extreme = self._extreme(sizes.amax(1), sizes.amin(1)) if x.shape[1] else x.sum(1) + 1
        powers = self._powers(x, sizes / extreme[:, None])
        return self._root(torch.einsum("bn,bnd->bd", weights, powers), extreme, mask.any(1))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the generalised mean of each segment per channel."""
        sizes, some = self._sizes(x), offsets.diff() > 0
        extreme = self._extreme(segment_max(sizes, offsets), -segment_max(-sizes, offsets))
        extreme = extreme.masked_fill(~some[:, None], 1)
        powers = self._powers(x, sizes / extreme.index_select(0, segment_ids(offsets)))
        return self._root(segment_mean(powers, offsets), extreme, some)

    def _sizes(self, x: Tensor) -> Tensor:
        return (x.abs() if self.signed else x).clamp(min=self.eps)

    def _extreme(self, most: Tensor, least: Tensor) -> Tensor:
        """Return what sizes are divided by, so that no power overflows and the greatest power is 1.

        A generalised mean of c x is c times that of x, so no gradient need pass here.
        """
        return torch.where(self._exponents(most.shape[-1]) > 0, most, least).detach()

    def _powers(self, x: Tensor, sizes: Tensor) -> Tensor:
        powers = sizes.pow(self._exponents(x.shape[-1]))
        return powers * x.sign() if self.signed else powers

    def _root(self, mean: Tensor, extreme: Tensor, some: Tensor) -> Tensor:
        mean = mean.masked_fill(~some[:, None], 1)  # a root of nothing has no slope
        root = 1 / self._exponents(mean.shape[-1])
        if not self.signed:
            return extreme * mean.pow(root)
        # nor has one of powers that cancel
        return extreme * mean.sign() * mean.abs().clamp(min=torch.finfo(mean.dtype).tiny).pow(root)

    def _exponents(self, dim: int) -> Tensor:
        """Return p, one a channel; the exponents stand for groups of as many neighbours."""
        p = self.exponent
        far = torch.where(p < 0, p.clamp(max=-NEAREST_TO_ZERO), p.clamp(min=NEAREST_TO_ZERO))
        far = p + (far - p).detach()  # the slope of p itself, so that training does not stop there
        return far.repeat_interleave(dim // len(p))
