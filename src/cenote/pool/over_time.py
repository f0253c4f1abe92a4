"""OverTime: a pooler of tokens over the first frames of each row.

x (B, T, D), lengths (B,) -> mask t < length -> (B, D)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cenote import registry
from cenote.pool.adapters import Part, made


class OverTime(nn.Module):
    """(B, T, D) -> (B, width of the pooler).

    pooler: a pooler, its word or its configuration.
    """

    def __init__(self, pooler: Part) -> None:
        super().__init__()
        self.over = made(pooler)

    @property
    def pooler(self) -> dict[str, Any]:
        """The configuration of the pooler."""
        return registry.config(self.over)

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Pool the first lengths (B,) frames of each row of x (B, T, D); all of them without lengths.

        Raises TypeError for lengths that are no integers, ValueError for lengths that are not one a row or lie outside
        0 to T, and what the pooler raises.
        """
        out: Tensor | tuple[Tensor, Tensor]
        if lengths is None or x.ndim != 3:
            out = self.over(x, return_weights=return_weights)
            return out
        rows, frames = x.shape[:2]
        if lengths.is_floating_point() or lengths.dtype == torch.bool:
            raise TypeError(f"lengths must be integers, not {lengths.dtype}")
        if lengths.shape != (rows,):
            raise ValueError(f"lengths has shape {tuple(lengths.shape)} but x has {rows} rows; pass one for each")
        if not torch.compiler.is_compiling() and bool(((lengths < 0) | (lengths > frames)).any()):
            raise ValueError(f"lengths must lie between 0 and {frames}, the frames of x")
        out = self.over(x, torch.arange(frames, device=x.device) < lengths[:, None], return_weights=return_weights)
        return out
