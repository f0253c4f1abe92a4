"""Gated: the maximum and the mean in shares that depend on what is pooled.

    y = g max_i x_i + (1 - g) 1/k sum_i x_i        g = sigmoid(w . x), w in R^k, without bias; per channel

Lee, Gallagher & Tu, "Generalizing pooling functions in convolutional neural networks: mixed, gated, and tree"
(1509.08985), for windows of k cells. Rows of tokens differ in length, so that `Gated` asks their mean instead:

    g = sigmoid(u . 1/n sum_n x_n), u in R^D
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.kernels.segments import wide
from cenote.pool.base import Empty, Pooler
from cenote.pool.max import Max
from cenote.pool.mean import Mean
from cenote.pool.mixed import mix
from cenote.pool.of_windows import Filters, Share, Shared, average, greatest
from cenote.pool.windows import Size


class Gated(Pooler):
    """(B, N, D) -> (B, D).

    dim: D. per_channel: a gate a channel, each of the whole mean, in place of one of all.
    """

    def __init__(self, dim: int, *, per_channel: bool = False, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.dim, self.per_channel = dim, per_channel
        self.gate = nn.Parameter(torch.randn(dim if per_channel else 1, dim) / 100)
        self.max, self.mean = Max(), Mean()

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mix maximum and mean of the kept tokens as their mean says."""
        mean = self.mean.padded(x, mask)
        return mix(mean @ self.gate.T, self.max.padded(x, mask), mean)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Mix maximum and mean of each segment as its mean says."""
        mean = self.mean.packed(x, offsets)
        return mix(mean @ self.gate.T, self.max.packed(x, offsets), mean)


class GatedPool(Shared):
    """(B, C, *S) -> (B, C, *S_out), with S of as many axes as `axes`, one to three.

    kernel, stride, padding: as in `Windows`. share, channels, out_size: which windows have one w, as in `Shared`.

    Raises ValueError as `Shared` does.
    """

    def __init__(
        self,
        kernel: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        axes: int = 2,
        share: Share = "layer",
        channels: int | None = None,
        out_size: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(kernel, stride, padding, share=share, channels=channels, out_size=out_size)
        self.axes = axes
        self.gate = Filters(1, axes, kernel, stride, padding, share=share, channels=channels, out_size=out_size)

    def forward(self, x: Tensor) -> Tensor:
        """Mix maximum and mean of each window as its gate says.

        Raises TypeError for x that is not floating, ValueError for a map the weights are not made for.
        """
        self.check(x, self.axes)
        window = (wide(x), self.kernel, self.stride, self.padding)
        return mix(self.gate(wide(x))[0], greatest(*window), average(*window)).to(x.dtype)
