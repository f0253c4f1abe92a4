"""Norms of packed tokens; that of a sum by the one-pass kernel on a CPU, and by torch elsewhere.

y = LN(x + r) w + b      x, r (M, D)
y = x / sqrt(mean(x^2) + eps) w
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cenote.encode.attention import FEW
from cenote.kernels import threads


class Norm:
    """x (M, D), and r (M, D) where there is one -> (M, D)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, eps: float) -> None:
        self._weight, self._eps = weight.float(), eps
        self._bias = torch.zeros_like(self._weight) if bias is None else bias.float()

    def __call__(self, x: Tensor, r: Tensor | None = None) -> Tensor:
        """Return y."""
        if r is None or x.device.type != "cpu" or len(x) < FEW:
            h = x.float() if r is None else x.float() + r.float()
            return F.layer_norm(h, (x.shape[1],), self._weight, self._bias, self._eps).to(x.dtype)
        from cenote.kernels.norms import add_norm

        out = torch.empty_like(x)
        kind = torch.uint16 if x.dtype == torch.bfloat16 else x.dtype
        wide = self._weight.numpy(), self._bias.numpy()
        a, b, y = (tensor.view(kind).numpy() for tensor in (x, r, out))

        def run(start: int, stop: int) -> None:
            part = slice(start, stop)
            add_norm(a[part], b[part], *wide, self._eps, y[part])

        threads.over_ranges(run, len(x), least=256)
        return out


class RootNorm:
    """x (..., D) -> (..., D), by the root of the mean square alone: Zhang & Sennrich, "RMSNorm" (1910.07467)."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        self._weight, self._eps = weight.float(), eps

    def __call__(self, x: Tensor) -> Tensor:
        """Return y."""
        return F.rms_norm(x.float(), (x.shape[-1],), self._weight, self._eps).to(x.dtype)
