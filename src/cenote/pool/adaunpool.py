"""AdaUnPool: what ExpAdaPool made small, large again with the same weights.

    x_i = k w_i y_o        o the window of cell i, of k cells; w sums to 1 over a window

Stergiou & Poppe, "AdaPool: exponential adaptive pooling for information-retaining downsampling" (2111.00772). As
released, without k, a map comes back k times fainter: scale="none".
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from cenote.pool.windows import Size, check_window, per_axis


class AdaUnPool(nn.Module):
    """(B, C, *S_out), weights (B, C, *S) -> (B, C, *S).

    kernel: that of the pool, whose windows stood side by side. scale: as above.

    Raises ValueError for a kernel that cannot be, or another scale.
    """

    def __init__(self, kernel: Size, *, scale: Literal["count", "none"] = "count") -> None:
        super().__init__()
        check_window(kernel, kernel)
        if scale not in ("count", "none"):
            raise ValueError(f"scale must be count or none, not {scale!r}")
        self.kernel, self.scale = kernel, scale

    def forward(self, y: Tensor, weights: Tensor) -> Tensor:
        """Spread y over the cells as the weights say, which ExpAdaPool gives with return_weights=True.

        Raises ValueError for weights of another map than y was pooled from.
        """
        kernel = per_axis(self.kernel, y.ndim - 2)
        wanted = tuple(size // k for size, k in zip(weights.shape[2:], kernel, strict=False))
        if weights.ndim != y.ndim or weights.shape[:2] != y.shape[:2] or wanted != tuple(y.shape[2:]):
            raise ValueError(f"weights have shape {tuple(weights.shape)}, which a map of {tuple(y.shape)} cannot be of")
        border: list[int] = []
        for axis, k in enumerate(kernel):
            y = y.repeat_interleave(k, 2 + axis)
            border = [0, weights.shape[2 + axis] - y.shape[2 + axis], *border]
        spread = weights * F.pad(y, border)
        return spread * math.prod(kernel) if self.scale == "count" else spread
