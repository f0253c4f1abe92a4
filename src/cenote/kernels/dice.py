"""Means of rows in which tokens count the more the nearer they are to the plain mean, in the form of `kernels.ragged`.

    y = sum_n softmax_n(s_n) x_n        s_n = 2 x_n m / (x_n^2 + m^2), m = 1/n sum_n x_n, channel by channel

x (M, D) float32 of a processor, contiguous, read where it lies -> (B, D), zeros for a row without tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cenote.kernels import room
from cenote.kernels.ragged import over_rows


class DiceMean(torch.autograd.Function):
    """The equation above; its gradient goes through the plain mean as well."""

    @staticmethod
    def of(x: Tensor, places: Tensor, offsets: Tensor) -> Tensor:
        """Return (B, D)."""
        out: Tensor = DiceMean.apply(x, places, offsets)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, offsets: Tensor) -> Tensor:
        """Find the plain mean, then powers and weighted tokens."""
        from cenote.kernels import dice_loops

        mean, total, out = (x.new_empty(len(offsets) - 1, x.shape[1]) for _ in range(3))
        over_rows(dice_loops.means, places, offsets, x, mean, total, out)
        ctx.save_for_backward(x, places, offsets, mean, total, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Through the tokens, through their similarity, and through the mean that they are similar to."""
        from cenote.kernels import dice_loops

        x, places, offsets, mean, total, out = ctx.saved_tensors
        of_x = room.like(x)
        over_rows(dice_loops.slopes, places, offsets, x, mean, total, out, slope, of_x)
        return of_x, None, None
