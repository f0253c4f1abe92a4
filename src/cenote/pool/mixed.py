"""Mixed: the maximum and the mean in learned shares.

    y = a max_n x_n + (1 - a) 1/n sum_n x_n        a = sigmoid(s) in (0, 1), per channel

Lee, Gallagher & Tu, "Generalizing pooling functions in convolutional neural networks: mixed, gated, and tree"
(1509.08985), for the windows of feature maps; `Mixed` is the same over tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cenote.kernels.segments import wide
from cenote.pool.base import Empty, Pooler
from cenote.pool.max import Max
from cenote.pool.mean import Mean
from cenote.pool.of_windows import Share, Shared, average, greatest
from cenote.pool.windows import Size


class Mixed(Pooler):
    """(B, N, D) -> (B, D).

    init: the share of the maximum to begin with. dim: D for a share a channel, None for one of all.

    Raises ValueError for init that is not between 0 and 1.
    """

    def __init__(self, init: float = 0.5, *, dim: int | None = None, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.init, self.dim = init, dim
        self.logit = nn.Parameter(torch.full((1 if dim is None else dim,), logit(init)))
        self.max, self.mean = Max(), Mean()

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mix maximum and mean of the kept tokens."""
        return mix(self.logit, self.max.padded(x, mask), self.mean.padded(x, mask))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Mix maximum and mean of each segment."""
        return mix(self.logit, self.max.packed(x, offsets), self.mean.packed(x, offsets))


class MixedPool(Shared):
    """(B, C, *S) -> (B, C, *S_out), with one to three axes S.

    kernel, stride, padding: as in `Windows`. share, channels, out_size: which windows have one share, as in `Shared`.
    init: the share of the maximum to begin with.

    Raises ValueError for init that is not between 0 and 1, and what `Shared` raises.
    """

    def __init__(
        self,
        kernel: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        share: Share = "layer",
        channels: int | None = None,
        out_size: tuple[int, ...] | None = None,
        init: float = 0.5,
    ) -> None:
        super().__init__(kernel, stride, padding, share=share, channels=channels, out_size=out_size)
        self.init = init
        self.logit = nn.Parameter(torch.full(self.copies, logit(init)))

    def forward(self, x: Tensor) -> Tensor:
        """Mix maximum and mean of each window.

        Raises TypeError for x that is not floating, ValueError for a map the weights are not made for.
        """
        self.check(x)
        window = (wide(x), self.kernel, self.stride, self.padding)
        return mix(self.spread(self.logit, x), greatest(*window), average(*window)).to(x.dtype)


def mix(logits: Tensor, most: Tensor, mean: Tensor) -> Tensor:
    """Return most where the logits are large, mean where they are small, and what lies between."""
    return torch.lerp(mean, most, logits.to(mean.dtype).sigmoid())


def logit(share: float, name: str = "init") -> float:
    """Return s with sigmoid(s) = share; ValueError naming the argument where there is none."""
    if not 0 < share < 1:
        raise ValueError(f"{name} must be between 0 and 1, not {share}; training could not leave a share of 0 or 1")
    return math.log(share / (1 - share))
