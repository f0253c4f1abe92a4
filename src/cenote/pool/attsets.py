"""AttSets: every channel of every element of a set has a weight of its own.

    c_n = W x_n        a_n = softmax_n(c_n), channel by channel        y = sum_n a_n * x_n

x (B, N, D), W (D, D), y (B, D). For feature maps W is a convolution with as many channels out as in.

Yang, Wang, Markham & Trigoni, "Robust attentional aggregation of deep feature sets for multi-view 3D reconstruction"
(1808.00758).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cenote.kernels.segments import masked_softmax, masked_softmean, segment_softmean, wide
from cenote.pool.base import Empty, Pooler


class AttSets(Pooler):
    """(B, N, D) -> (B, D).

    dim: D. bias: whether the scores have one; it is the same for all elements, so the softmax undoes it, and it is
    there for weights that were trained with one.
    """

    def __init__(self, dim: int, *, bias: bool = False, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.dim, self.bias = dim, bias
        self.score = nn.Linear(dim, dim, bias=bias)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum a x over the kept tokens."""
        x = x.masked_fill(~mask[:, :, None], 0)
        return masked_softmean(x, mask, self.score(x))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Sum a x over each segment."""
        return segment_softmean(x, offsets, self.score(x))


class AttSetsOfMaps(nn.Module):
    """Sets of feature maps, x (B, N, C, H, W) or (B, N, C, S, H, W): the softmax runs over the set at each place.

    channels: C. axes: 2 or 3, the spatial axes of a map. kernel: odd width of the convolution.
    """

    def __init__(self, channels: int, *, axes: Literal[2, 3] = 2, kernel: int = 3, bias: bool = False) -> None:
        """Raise ValueError for axes other than 2 and 3, or an even kernel, which would move the maps."""
        super().__init__()
        if axes not in (2, 3):
            raise ValueError(f"axes must be 2 (pictures) or 3 (volumes), not {axes}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that the scores lie on the maps; it is {kernel}")
        self.channels, self.axes = channels, axes
        convolution = nn.Conv2d if axes == 2 else nn.Conv3d
        self.score = convolution(channels, channels, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (B, C, …) over the maps that mask (B, N; True keeps) keeps, zeros for a set with none.

        Raises ValueError for x of another number of axes or channels, and a mask of another shape.
        """
        if x.ndim != 3 + self.axes or x.shape[2] != self.channels:
            wanted = f"(sets, maps, {self.channels}, {self.axes} spatial axes)"
            raise ValueError(f"x must have shape {wanted}, not {tuple(x.shape)}")
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        if mask.shape != x.shape[:2]:
            raise ValueError(f"mask has shape {tuple(mask.shape)} but x has {x.shape[0]} sets of {x.shape[1]} maps")
        kept = mask.bool().view(*mask.shape, *[1] * (1 + self.axes))
        x = x.masked_fill(~kept, 0)
        scores = self.score(x.flatten(0, 1)).view(x.shape)
        return (masked_softmax(wide(scores), kept, 1) * wide(x)).sum(1).to(x.dtype)
