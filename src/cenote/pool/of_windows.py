"""What each window of a feature map becomes: its greatest value, its mean, or a product with learned filters.

    max_i x_i        1/n sum_i x_i        w . x        x the cells of a window, channel by channel

Cells beyond the border are left out of the maximum and the mean, and are 0 in the product.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.pool.windows import Size, check_window, per_axis, windows

Share = Literal["layer", "channel", "region", "region_channel"]
"""Which windows have weights in common: all; those of a channel; those of a place; none."""
_MAX = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_CONV = (F.conv1d, F.conv2d, F.conv3d)


def greatest(x: Tensor, kernel: Size, stride: Size, padding: Size = 0) -> Tensor:
    """Return (B, C, *S_out): the greatest value of each window of x (B, C, *S), with one to three axes S."""
    out: Tensor = _MAX[_axes(x) - 1](x, kernel, stride, padding)
    return out


def average(x: Tensor, kernel: Size, stride: Size, padding: Size = 0) -> Tensor:
    """Return (B, C, *S_out): the mean of each window of x (B, C, *S), with one to three axes S."""
    if _axes(x) == 1:
        return F.avg_pool1d(x, kernel, stride, padding, count_include_pad=False)
    pool = F.avg_pool2d if _axes(x) == 2 else F.avg_pool3d
    return pool(x, kernel, stride, padding, count_include_pad=False)


class Shared(nn.Module):
    """Base of what has weights for windows that may share them.

    kernel, stride, padding: as in `Windows`. share: which windows have weights in common. channels: C, needed where
    channels have their own. out_size: S_out, needed where places have their own.

    Raises ValueError for a window that cannot be, a share that is none of the four, or sizes it needs and lacks.
    """

    def __init__(
        self,
        kernel: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        share: Share = "layer",
        channels: int | None = None,
        out_size: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if share not in ("layer", "channel", "region", "region_channel"):
            raise ValueError(f"share must be layer, channel, region or region_channel, not {share!r}")
        self.kernel, self.stride, self.padding = kernel, kernel if stride is None else stride, padding
        check_window(self.kernel, self.stride, self.padding)
        if "channel" in share and (channels is None or channels < 1):
            raise ValueError(f"share={share!r} needs channels, at least 1, not {channels}")
        if "region" in share and (not out_size or min(out_size) < 1):
            raise ValueError(f"share={share!r} needs out_size, one number of windows an axis, not {out_size}")
        self.share, self.channels, self.out_size = share, channels, out_size

    @property
    def copies(self) -> tuple[int, int]:
        """How many copies of the weights there are along channels and along places."""
        places = math.prod(self.out_size or ()) if "region" in self.share else 1
        return (self.channels or 1) if "channel" in self.share else 1, places

    def check(self, x: Tensor, made_for: int | None = None) -> None:
        """Raise TypeError for x that is not floating, ValueError for a map the weights are not made for.

        made_for: the axes of space the weights have, None where they fit any.
        """
        if not x.is_floating_point():
            raise TypeError(f"x must hold floats, not {x.dtype}")
        axes = _axes(x)
        if made_for is not None and axes != made_for:
            raise ValueError(f"x has {axes} axes of space; this {type(self).__name__} was made with axes={made_for}")
        if "channel" in self.share and x.shape[1] != self.channels:
            raise ValueError(f"x has {x.shape[1]} channels; this {type(self).__name__} was made for {self.channels}")
        window = (per_axis(one, axes) for one in (self.kernel, self.stride, self.padding))
        found = tuple((size + 2 * p - k) // s + 1 for size, k, s, p in zip(x.shape[2:], *window, strict=True))
        if "region" in self.share and found != tuple(self.out_size or ()):
            made = f"this {type(self).__name__} was made for {tuple(self.out_size or ())}"
            raise ValueError(f"x has {found} windows; {made}, and each place has weights of its own")

    def spread(self, weights: Tensor, x: Tensor) -> Tensor:
        """Return weights (…, channels, places) so that they meet windows (…, C, *S_out)."""
        out_size = self.out_size if "region" in self.share and self.out_size else (1,) * _axes(x)
        return weights.view(*weights.shape[:-1], *out_size)


class Filters(Shared):
    """`count` learned filters of windows, without bias: (B, C, *S) -> (count, B, C, *S_out).

    The weights are (count, channels, places, cells of a window).
    """

    def __init__(
        self,
        count: int,
        axes: int,
        kernel: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        share: Share = "layer",
        channels: int | None = None,
        out_size: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(kernel, stride, padding, share=share, channels=channels, out_size=out_size)
        self.cells = math.prod(per_axis(kernel, axes))
        # near to nothing, so that gates begin at a half
        self.weight = nn.Parameter(torch.randn(count, *self.copies, self.cells) / 100)

    def forward(self, x: Tensor) -> Tensor:
        """Return the product of each window with each filter."""
        weight, count, rows = self.weight.to(x.dtype), len(self.weight), len(x)
        if "region" in self.share:
            found, _ = windows(x, self.kernel, self.stride, self.padding)
            out_size = found.shape[2 : x.ndim]
            found = found.reshape(*x.shape[:2], out_size.numel(), self.cells)
            return torch.einsum("bcpk,fcpk->fbcp", found, weight).view(count, *x.shape[:2], *out_size)
        # filters of one channel are a convolution, and no window has to be written out
        alone = self.share == "layer"
        maps = x.reshape(-1, 1, *x.shape[2:]) if alone else x
        filters = weight.transpose(0, 1).reshape(-1, 1, *per_axis(self.kernel, _axes(x)))
        out = _CONV[_axes(x) - 1](maps, filters, None, self.stride, self.padding, 1, 1 if alone else x.shape[1])
        return out.view(rows, x.shape[1], count, *out.shape[2:]).movedim(2, 0)


def _axes(x: Tensor) -> int:
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"x must have shape (rows, channels, *one to three axes of space), not {tuple(x.shape)}")
    return x.ndim - 2
