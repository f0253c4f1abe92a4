"""GNP: a norm of the tokens, of a learned order and divided by a learned power of their number.

    y_d = n^-q ( sum_n |x_nd|^p )^(1/p)        sum: p 1, q 0; mean: p 1, q 1; maximum: p -> inf, q 0; minimum: p -> -inf

p cannot pass through 0 while it is learned, so half of the channels have a positive p and half a negative one, each
half with its own q; a linear layer (D, D) mixes them. Sets larger than those of the training follow the learned q.

Ko, Kwon, Shin & Lee, "Learning to pool in graph neural networks for extrapolation" (2106.06210).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from cenote.kernels.segments import masked_logsumexp, segment_logsumexp
from cenote.pool.base import Empty, Pooler

_GREATEST = 50.0
"""Of |p|: within 3 % of the maximum of 4 equal values, and the gradient in p has vanished."""
_LEAST = 1e-6
"""Added to |x|: its logarithm is taken."""


class GNP(Pooler):
    """(B, N, D) -> (B, D).

    dim: D. p, q: where training begins; p is the order of the positive half and -p that of the negative one.
    branches: 1 leaves the negative half out. mix: whether the linear layer follows.

    The exponents are the parameters `order_of_norm` and `power_of_size`; train them without weight decay, which would
    pull p to ln 2.
    """

    scaling = "none"
    dim: int

    def __init__(
        self,
        dim: int,
        p: float = 1.0,
        q: float = 0.5,
        *,
        branches: Literal[1, 2] = 2,
        mix: bool = True,
        empty: Empty = "zero",
    ) -> None:
        """Raise ValueError for p outside (0, 50] and for branches other than 1 and 2."""
        super().__init__(empty=empty)
        if not 0 < p <= _GREATEST:
            raise ValueError(f"p must lie above 0 and not above {_GREATEST:g}, not {p}; the second branch has -p")
        if branches not in (1, 2):
            raise ValueError(f"branches must be 1 (positive p) or 2 (positive and negative p), not {branches}")
        self.dim, self.p, self.q, self.branches, self.mix = dim, p, q, branches, mix
        # softplus(order_of_norm) is p
        self.order_of_norm = nn.Parameter(torch.full((branches,), math.log(math.expm1(p))))
        self.power_of_size = nn.Parameter(torch.full((branches,), float(q)))
        self.mixing = nn.Linear(dim, dim) if mix else None

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Return p (branches,), the second below 0, and q (branches,)."""
        sign = self.order_of_norm.new_tensor([1.0, -1.0])[: self.branches]
        return sign * nn.functional.softplus(self.order_of_norm).clamp(max=_GREATEST), self.power_of_size

    def _by_channel(self) -> tuple[Tensor, Tensor]:
        widths = [self.dim - self.dim // 2, self.dim // 2] if self.branches == 2 else [self.dim]
        p, q = (
            torch.cat([one.expand(width) for one, width in zip(each, widths, strict=True)]) for each in self.exponents()
        )
        return p, q

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the norm of the kept tokens, mixed."""
        p, q = self._by_channel()
        logarithms = (x.masked_fill(~mask[:, :, None], 0).abs() + _LEAST).log()
        return self._mixed(masked_logsumexp(p * logarithms, mask) / p, q, mask.sum(1))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the norm of each segment, mixed."""
        p, q = self._by_channel()
        return self._mixed(segment_logsumexp(p * (x.abs() + _LEAST).log(), offsets) / p, q, offsets.diff())

    def _mixed(self, logarithm: Tensor, q: Tensor, counts: Tensor) -> Tensor:
        norms = (logarithm - q * counts.clamp(min=1).to(logarithm.dtype).log()[:, None]).exp()
        return norms if self.mixing is None else self.mixing(norms)
