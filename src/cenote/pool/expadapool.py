"""ExpAdaPool: near the mean and near the maximum, in a learned share.

    y = sum_i (b w_i + (1 - b) v_i) x_i        w = softmax(dice(x, mean)), v = softmax(x); b in (0, 1); per channel

Stergiou & Poppe, "AdaPool: exponential adaptive pooling for information-retaining downsampling" (2111.00772), for
windows of feature maps, with a b of its own for each place of a window; `ExpAda` is the same over tokens, with one b.
With b = 0 it is SoftPool. b is a sigmoid here: the release clamps it, and what leaves [0, 1] gets wrong gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.kernels.segments import wide
from cenote.pool.base import Empty, Pooler
from cenote.pool.dice import Dice, Similarity, check_similarity, dice
from cenote.pool.mixed import logit, mix
from cenote.pool.of_windows import Share, Shared
from cenote.pool.softpool import SoftPool
from cenote.pool.windows import Size, laid_out, on_map, per_axis, windows


class ExpAda(Pooler):
    """(B, N, D) -> (B, D).

    beta: b to begin with. similarity: as in `Dice`.

    Raises ValueError for beta that is not between 0 and 1, or another similarity.
    """

    def __init__(self, beta: float = 0.5, *, similarity: Similarity = "channel", empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.beta, self.similarity = beta, check_similarity(similarity)
        self.logit = nn.Parameter(torch.full((1,), logit(beta, "beta")))
        self.near, self.great = Dice(similarity), SoftPool()

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted mean of the kept tokens."""
        return mix(self.logit, self.near.padded(x, mask), self.great.padded(x, mask))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the weighted mean of each segment."""
        return mix(self.logit, self.near.packed(x, offsets), self.great.packed(x, offsets))


class ExpAdaPool(Shared):
    """(B, C, *S) -> (B, C, *S_out).

    kernel, stride, padding: as in `Windows`. out_size: S_out, which share="region", the paper's, must know. share,
    channels: which windows have one b, as in `Shared`. beta: b to begin with. similarity: as in `Dice`.

    Raises ValueError for beta that is not between 0 and 1, another similarity, and what `Shared` raises.
    """

    def __init__(
        self,
        kernel: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        out_size: tuple[int, ...] | None = None,
        share: Share = "region",
        channels: int | None = None,
        beta: float = 0.5,
        similarity: Similarity = "channel",
    ) -> None:
        super().__init__(kernel, stride, padding, share=share, channels=channels, out_size=out_size)
        self.beta, self.similarity = beta, check_similarity(similarity)
        self.logit = nn.Parameter(torch.full(self.copies, logit(beta, "beta")))
        self.near, self.great = Dice(similarity), SoftPool()

    def forward(self, x: Tensor, *, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Pool each window; return_weights gives the weight of each cell (B, C, *S) too, for `AdaUnPool`.

        A cell of no window has weight 0. Raises TypeError for x that is not floating, ValueError for a map the weights
        are not made for, and for return_weights where windows overlap, leave gaps or reach beyond the border.
        """
        self.check(x)
        if return_weights:
            return self._weighed(x)
        rows, mask, out_size = laid_out(wide(x), self.kernel, self.stride, self.padding)
        near, great = (on_map(pooler.padded(rows, mask), len(x), out_size) for pooler in (self.near, self.great))
        return mix(self.spread(self.logit, x), near, great).to(x.dtype)

    def _weighed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` does with the weights, which are written out for it."""
        axes = x.ndim - 2
        found, inside = windows(wide(x), self.kernel, self.stride, self.padding)
        cells, inside = found.flatten(2 + axes), inside.flatten(axes)
        mean = cells.sum(-1, keepdim=True) / inside.sum(-1, keepdim=True)
        near = dice(cells, mean, self.similarity, 1).masked_fill(~inside, -float("inf")).softmax(-1)
        great = cells.masked_fill(~inside, -float("inf")).softmax(-1)
        weights = mix(self.spread(self.logit, x)[..., None], near, great)
        return (weights * cells).sum(-1).to(x.dtype), self._on_map(weights.view(found.shape), x)

    def _on_map(self, weights: Tensor, x: Tensor) -> Tensor:
        """Return weights (B, C, *S_out, *kernel) where their cells are in x (B, C, *S)."""
        axes = x.ndim - 2
        if per_axis(self.stride, axes) != per_axis(self.kernel, axes) or any(per_axis(self.padding, axes)):
            raise ValueError("return_weights needs windows side by side: a stride like the kernel, and no padding")
        order = [0, 1] + [place for axis in range(axes) for place in (2 + axis, 2 + axes + axis)]
        sizes = [weights.shape[2 + axis] * weights.shape[2 + axes + axis] for axis in range(axes)]
        border = [more for size, used in zip(x.shape[2:], sizes, strict=True) for more in (size - used, 0)]
        return F.pad(weights.permute(order).reshape(*x.shape[:2], *sizes), border[::-1]).to(x.dtype)
