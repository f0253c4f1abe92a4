"""Reductions of the windows of maps that lie channel by channel, for float32 on a processor: no window is laid out.

x (P, H, W) contiguous: planes, of all channels of all maps. Window (i, j) has the cells of rows s i - p + 0 … k - 1 and
of columns likewise that lie in the plane; kernel k, stride s and padding p are each (of rows, of columns).
-> (P, H_out, W_out), every window with at least one cell. Loops of numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cenote.kernels import room
from cenote.kernels.pieces import over_pieces

_SHARED_FROM = 2**18
"""Numbers from which threads share the planes; windows take more time a number than rows do."""

Sizes = tuple[int, ...]
Window = tuple[Sizes, Sizes, Sizes]
"""Kernel, stride and padding, each of rows and of columns."""


class Mean(torch.autograd.Function):
    """1/n sum_i x_i over the n cells of a window."""

    @staticmethod
    def of(x: Tensor, window: Window, out_size: Sizes) -> Tensor:
        """Return (P, *out_size)."""
        out: Tensor = Mean.apply(x, window, out_size)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, out_size: Sizes) -> Tensor:
        """Add up, and divide."""
        from cenote.kernels import windowed_loops

        ctx.window, ctx.shape = window, x.shape
        out = room.of(len(x), *out_size)
        _planes(windowed_loops.means, window, x, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Hand a window's to its cells, in equal shares."""
        from cenote.kernels import windowed_loops

        of_x = room.of(*ctx.shape)
        _planes(windowed_loops.mean_slopes, ctx.window, slope, of_x)
        return of_x, None, None


class Extreme(torch.autograd.Function):
    """max_i x_i of a window, or min_i x_i where sign is -1; those that reach it share the gradient."""

    @staticmethod
    def of(x: Tensor, window: Window, out_size: Sizes, sign: int = 1) -> Tensor:
        """Return (P, *out_size)."""
        out: Tensor = Extreme.apply(x, window, out_size, sign)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, out_size: Sizes, sign: int) -> Tensor:
        """Look for the greatest, or the least."""
        from cenote.kernels import windowed_loops

        out = room.of(len(x), *out_size)
        _planes(windowed_loops.extreme(sign), window, x, out)
        ctx.save_for_backward(x, out)
        ctx.window = window
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        """Share among those that are as great, or as little."""
        from cenote.kernels import windowed_loops

        x, most = ctx.saved_tensors
        of_x = room.like(x)
        _planes(windowed_loops.shared_by_reaching, ctx.window, x, most, slope, of_x)
        return of_x, None, None, None


def _planes(loop: Callable[..., None], window: Window, *given: Tensor) -> None:
    """Call a loop for all planes, in parts of them where there are many numbers."""
    sizes = np.array(window)
    arrays = [one.detach().contiguous().numpy() for one in given]
    planes = len(arrays[0])
    least = max(1, planes * _SHARED_FROM // max(1, 2 * given[-1].numel()))
    over_pieces(lambda first, last: loop(sizes, *arrays, first, last), planes, least)
