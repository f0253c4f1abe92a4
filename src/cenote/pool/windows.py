"""Windows: a pooler of tokens over the cells of each window of a feature map, which becomes smaller.

    y[:, :, o] = pool({x[:, :, stride o - padding + i] : 0 <= i < kernel})        o over the windows, per axis of space

Windows lie as in torch.nn.functional.avg_pool2d. Cells beyond the border are left out, never read as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote import registry
from cenote.kernels import ragged
from cenote.pool.adapters import Part, made

Size = int | tuple[int, ...]


class Windows(nn.Module):
    """(B, C, *S) -> (B, width of the pooler, *S_out), S_out = floor((S + 2 padding - kernel) / stride) + 1.

    pooler: a pooler, its word or its configuration. kernel, stride, padding: cells, one number or one an axis; the
    stride is the kernel's size where None. ceil_mode: count the windows that begin inside and end outside too.

    Raises ValueError for a kernel or stride below 1, or padding that is negative or more than half the kernel.
    """

    def __init__(
        self,
        pooler: Part,
        kernel: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.over = made(pooler)
        self.stride = kernel if stride is None else stride
        self.kernel, self.padding, self.ceil_mode = kernel, padding, ceil_mode
        check_window(self.kernel, self.stride, self.padding)

    @property
    def pooler(self) -> dict[str, Any]:
        """The configuration of the pooler."""
        return registry.config(self.over)

    def forward(self, x: Tensor) -> Tensor:
        """Pool each window of x (B, C, *S).

        Raises ValueError for x without axes of space or with others than the kernel's, and for a kernel larger than
        the padded map.
        """
        out = self._in_place(x)
        if out is not None:
            return out
        rows, mask, out_size = laid_out(x, self.kernel, self.stride, self.padding, ceil_mode=self.ceil_mode)
        out = self.over(rows, mask)
        return on_map(out, x.shape[0], out_size)

    def _in_place(self, x: Tensor) -> Tensor | None:
        """Return the windows pooled where they lie, None where that is not known to be the same."""
        if not 3 <= x.ndim <= 4 or not x.numel() or not ragged.fits(x):
            return None
        axes = x.ndim - 2
        kernel, stride, padding = (per_axis(one, axes) for one in (self.kernel, self.stride, self.padding))
        out_size, _ = _sizes(x.shape[2:], kernel, stride, padding, self.ceil_mode)
        # a line is a plane of one row
        window = ((1,) * (2 - axes) + kernel, (1,) * (2 - axes) + stride, (0,) * (2 - axes) + padding)
        planes = x.view(-1, *(1,) * (2 - axes), *x.shape[2:])
        out = self.over.in_windows(planes, window, (1,) * (2 - axes) + out_size)
        return None if out is None else out.view(*x.shape[:2], *out_size)


def laid_out(
    x: Tensor, kernel: Size, stride: Size, padding: Size = 0, *, ceil_mode: bool = False
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Return the windows of x (B, C, *S) as rows of tokens (B windows, cells, C), their mask, and S_out.

    Raises ValueError as `Windows.forward` does.
    """
    cells, inside = windows(x, kernel, stride, padding, ceil_mode=ceil_mode)
    axes = x.ndim - 2
    out_size, count = cells.shape[2 : 2 + axes], cells.shape[2 + axes :].numel()
    rows = cells.movedim(1, -1).reshape(x.shape[0] * out_size.numel(), count, x.shape[1])
    return rows, inside.expand(x.shape[0], *inside.shape).reshape(-1, count), out_size


def on_map(out: Tensor, rows: int, out_size: tuple[int, ...]) -> Tensor:
    """Return what became of the windows (B windows, D) as maps (B, D, *S_out)."""
    return out.view(rows, *out_size, out.shape[-1]).movedim(-1, 1)


def windows(
    x: Tensor, kernel: Size, stride: Size, padding: Size = 0, *, ceil_mode: bool = False
) -> tuple[Tensor, Tensor]:
    """Return a view (B, C, *S_out, *kernel) of the windows of x (B, C, *S), and which of the cells are x's.

    The second is bool (*S_out, *kernel); where it is False stand zeros. Raises ValueError as `Windows.forward` does.
    """
    if x.ndim < 3:
        raise ValueError(f"x must have shape (rows, channels, height, width), not {tuple(x.shape)}")
    axes = x.ndim - 2
    kernel, stride, padding = (per_axis(one, axes) for one in (kernel, stride, padding))
    out_size, border = _sizes(x.shape[2:], kernel, stride, padding, ceil_mode)
    inside = torch.ones(1, 1, *x.shape[2:], dtype=torch.bool, device=x.device)
    if any(border):
        x, inside = F.pad(x, border), F.pad(inside, border, value=False)
    for axis, (count, k, s) in enumerate(zip(out_size, kernel, stride, strict=True)):
        x, inside = (_unfolded(one, 2 + axis, count, k, s) for one in (x, inside))
    return x, inside[0, 0]


def _unfolded(x: Tensor, axis: int, count: int, kernel: int, stride: int) -> Tensor:
    if kernel != stride:
        return x.unfold(axis, kernel, stride)
    # side by side they are a view whose gradient is one as well, where that of unfold is added up cell by cell
    cells = x.narrow(axis, 0, count * kernel)
    return cells.view(*x.shape[:axis], count, kernel, *x.shape[axis + 1 :]).movedim(axis + 1, -1)


def _sizes(
    size: Sequence[int], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], ceil_mode: bool
) -> tuple[tuple[int, ...], list[int]]:
    """Return how many windows there are on each axis, and the border that they need as torch pads it."""
    out_size: list[int] = []
    border: list[int] = []
    for cells, k, s, p in zip(size, kernel, stride, padding, strict=True):
        if not cells or k > cells + 2 * p:
            raise ValueError(f"kernel {k} is larger than the map: {cells} cells and {p} of padding on either side")
        count = -((k - cells - 2 * p) // s) + 1 if ceil_mode else (cells + 2 * p - k) // s + 1
        if ceil_mode and (count - 1) * s >= cells + p:  # as in torch, no window begins behind the map
            count -= 1
        out_size.append(count)
        border = [p, max(p, (count - 1) * s + k - cells - p), *border]
    return tuple(out_size), border


def check_window(kernel: Size, stride: Size, padding: Size = 0) -> None:
    """Raise ValueError for what cannot be a window, see `Windows`."""
    for name, size in (("kernel", kernel), ("stride", stride)):
        if any(one < 1 for one in per_axis(size, 1 if isinstance(size, int) else len(size))):
            raise ValueError(f"{name} must be at least 1 on every axis, not {size}")
    axes = max(1 if isinstance(size, int) else len(size) for size in (kernel, stride, padding))
    for k, p in zip(per_axis(kernel, axes), per_axis(padding, axes), strict=True):
        if not 0 <= 2 * p <= k:
            raise ValueError(f"padding must be between 0 and half the kernel ({k}), not {p}")


def per_axis(size: Size, axes: int) -> tuple[int, ...]:
    """Return one number an axis; ValueError where there are others than the axes."""
    if isinstance(size, int):
        return (size,) * axes
    if len(size) != axes:
        raise ValueError(f"{size} has {len(size)} numbers where one for each of {axes} axes was expected")
    return tuple(size)
