"""GGeM: the generalised mean with one learned exponent for each group of channels.

    y_d = ( 1/n sum_n max(x_nd, eps)^p_g )^(1/p_g)        g = the group of channel d, of D/G neighbours

Ko, Kim, Heo, Yun, Chun, Gu & Kim, "Group generalized mean pooling for vision transformer" (2212.04114), where the
groups are the heads of attention and the tokens those of patches, without the class token.
"""

from __future__ import annotations

import torch
from torch import nn

from cenote.pool.base import Empty
from cenote.pool.gem import GeM


class GGeM(GeM):
    """(B, N, D) -> (B, D).

    dim: D. groups: G. The rest as `GeM`; signed=True for states after a LayerNorm.

    Raises ValueError for groups that do not divide dim, and what `GeM` raises.
    """

    def __init__(
        self,
        dim: int,
        groups: int,
        p: float = 3.0,
        *,
        learn: bool = True,
        eps: float = 1e-6,
        signed: bool = False,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(p, learn=learn, eps=eps, signed=signed, empty=empty)
        if groups < 1 or dim % groups:
            raise ValueError(f"groups must divide dim; {groups} groups do not divide {dim} channels")
        self.dim, self.groups = dim, groups
        self.exponent = nn.Parameter(torch.full((groups,), float(p)), requires_grad=learn)
