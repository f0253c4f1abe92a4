"""Reductions of rows whose numbers lie one behind the other, as the channels of a map do, for float32 on a processor.

x (R, N) contiguous, N above 0 -> (R,). Slopes and powers are loops of numba, and nothing is written but the results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cenote.kernels import room
from cenote.kernels.pieces import over_pieces

_SHARED_FROM = 2**20
"""Numbers from which threads share the rows: with fewer, asking a thread takes as long as it saves."""


class Extreme(torch.autograd.Function):
    """max_n x_n, or min_n x_n where sign is -1, of the places n that are kept; those that reach it share the gradient.

    kept, bool (B, N), is the same for the R / B rows behind each other. What is left out may be NaN, and its gradient
    is 0; a row of which nothing is kept has 0.
    """

    @staticmethod
    def of(x: Tensor, kept: Tensor, sign: int = 1) -> Tensor:
        """Return (R,)."""
        out: Tensor = Extreme.apply(x, kept, sign)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, sign: int) -> Tensor:
        """Look for the greatest, or the least."""
        some = None
        read = x
        if not kept.numpy().all():
            some = kept.any(1).repeat_interleave(len(x) // len(kept))
            read = torch.where(kept[:, None], x.view(len(kept), -1, x.shape[1]), -sign * torch.inf).view(x.shape)
        most = read.amax(1) if sign > 0 else read.amin(1)
        if some is not None:
            most.masked_fill_(~some, 0)
        ctx.save_for_backward(x, kept, most)
        return most

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Share among those that are as great, or as little."""
        from cenote.kernels import along_loops

        x, kept, most = ctx.saved_tensors
        of_x = room.like(x)
        _rows(along_loops.shared_by_reaching, x, kept, most, slope, of_x)
        return of_x, None, None


class LogSumExp(torch.autograd.Function):
    """log sum_n exp(r x_n), r not 0."""

    @staticmethod
    def of(x: Tensor, r: float) -> Tensor:
        """Return (R,)."""
        out: Tensor = LogSumExp.apply(x, r)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, r: float) -> Tensor:
        """Add powers up, none above 1."""
        from cenote.kernels import along_loops

        most = (x.amax(1) if r > 0 else x.amin(1)).mul_(r)
        total = torch.empty_like(most)
        _rows(along_loops.powers, x, x.new_tensor(r), most, total)
        out = most.add_(total.log_())  # the greatest alone is 1
        ctx.save_for_backward(x, out)
        ctx.r = r
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Share in the proportion of the powers."""
        from cenote.kernels import along_loops

        x, out = ctx.saved_tensors
        of_x = room.like(x)
        _rows(along_loops.power_slopes, x, x.new_tensor(ctx.r), out, ctx.r * slope, of_x)
        return of_x, None


class SoftMean(torch.autograd.Function):
    """sum_n softmax_n(x_n) x_n."""

    @staticmethod
    def of(x: Tensor) -> Tensor:
        """Return (R,)."""
        out: Tensor = SoftMean.apply(x)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Add powers and weighted numbers up."""
        from cenote.kernels import along_loops

        level, mean = x.amax(1), x.new_empty(len(x))
        _rows(along_loops.soft_sums, x, level, mean)
        ctx.save_for_backward(x, level, mean)
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        """Weights times slope, the more the further a number is above the mean."""
        from cenote.kernels import along_loops

        x, level, mean = ctx.saved_tensors
        of_x = room.like(x)
        _rows(along_loops.soft_slopes, x, level, mean, slope, of_x)
        return of_x


def _rows(loop: Callable[..., None], x: Tensor, *given: Tensor) -> None:
    """Call a loop for all rows of x, in parts of them where there are many numbers."""
    arrays = [one.detach().contiguous().numpy() for one in (x, *given)]
    least = max(1, _SHARED_FROM // (2 * x.shape[1]))
    over_pieces(lambda first, last: loop(*arrays, first, last), len(x), least)
