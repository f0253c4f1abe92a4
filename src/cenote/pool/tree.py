"""Tree: learned filters of a window, mixed by a binary tree of learned gates.

    leaf m: v_m . x        inner node m: g_m left + (1 - g_m) right, g_m = sigmoid(w_m . x)        y = the root

Lee, Gallagher & Tu, "Generalizing pooling functions in convolutional neural networks: mixed, gated, and tree"
(1509.08985). A tree of t levels has 2^(t-1) leaves and 2^(t-1) - 1 inner nodes; training begins near the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.kernels.segments import wide
from cenote.pool.of_windows import Filters, Share, Shared
from cenote.pool.windows import Size


class TreePool(Shared):
    """(B, C, *S) -> (B, C, *S_out), with S of as many axes as `axes`, one to three.

    kernel, stride, padding: as in `Windows`. levels: t. share, channels, out_size: which windows have one tree, as in
    `Shared`.

    Raises ValueError for levels below 1, and what `Shared` raises.
    """

    def __init__(
        self,
        kernel: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        levels: int = 2,
        axes: int = 2,
        share: Share = "layer",
        channels: int | None = None,
        out_size: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(kernel, stride, padding, share=share, channels=channels, out_size=out_size)
        if levels < 1:
            raise ValueError(f"levels must be at least 1, not {levels}")
        self.levels, self.axes = levels, axes
        nodes = 2**levels - 1
        self.filters = Filters(nodes, axes, kernel, stride, padding, share=share, channels=channels, out_size=out_size)
        with torch.no_grad():
            self.leaves.add_(1 / self.filters.cells)

    @property
    def gates(self) -> Tensor:
        """w (inner nodes, channels, places, cells): the root first, then level by level."""
        return self.filters.weight[: 2 ** (self.levels - 1) - 1]

    @property
    def leaves(self) -> Tensor:
        """v (leaves, channels, places, cells), from left to right."""
        return self.filters.weight[2 ** (self.levels - 1) - 1 :]

    def forward(self, x: Tensor) -> Tensor:
        """Return what the tree makes of each window.

        Raises TypeError for x that is not floating, ValueError for a map the weights are not made for.
        """
        self.check(x, self.axes)
        products: Tensor = self.filters(wide(x))
        values = products[2 ** (self.levels - 1) - 1 :]
        for level in reversed(range(self.levels - 1)):
            gates = products[2**level - 1 : 2 ** (level + 1) - 1].sigmoid()
            values = torch.lerp(values[1::2], values[0::2], gates)
        return values[0].to(x.dtype)
