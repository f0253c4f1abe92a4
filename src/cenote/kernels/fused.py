"""Reductions of tokens by row that keep nothing of the size of the tokens for their gradients, which compute it again.

x (M, D), ids int64 (M,): the row of each token, rows: how many there are -> (rows, D), zeros for a row without tokens.
A token whose id is `rows` is in none of them. It may be NaN, and its gradient is 0.

The tokens are gone through in parts that stay in the processor's cache: to write a copy of all of them takes ten times
as long as to sum them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_PART = 2**21
"""Numbers of a part: 8 MiB, of which several fit into a cache that cores share; smaller ones cost more calls."""


def _parts(x: Tensor) -> Iterator[slice]:
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return iter([slice(None)])  # without a number in it, so that a graph holds for any number of tokens
    step = max(1, _PART // max(1, x.shape[-1]))
    return (slice(start, start + step) for start in range(0, len(x), step))


def _add(total: Tensor, x: Tensor, ids: Tensor) -> None:
    # an index expanded along the channels takes torch's path for whole rows, 2.5 times faster than index_add
    total.scatter_add_(0, ids[:, None].expand_as(x), x)


def _extreme(x: Tensor, ids: Tensor, rows: int, sign: int = 1) -> Tensor:
    """Return (rows + 1, D)."""
    which: Literal["amax", "amin"] = "amax" if sign > 0 else "amin"
    return x.new_zeros(rows + 1, x.shape[-1]).scatter_reduce(0, ids[:, None].expand_as(x), x, which, include_self=False)


class Sum(torch.autograd.Function):
    """sum_n x_n."""

    @staticmethod
    def of(x: Tensor, ids: Tensor, rows: int) -> Tensor:
        """Return (rows, D)."""
        if not x.requires_grad:
            return Sum.forward(x, ids, rows)
        out: Tensor = Sum.apply(x, ids, rows)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(x: Tensor, ids: Tensor, rows: int) -> Tensor:
        """Add up."""
        # not in place: what torch.func maps cannot be added to what it does not
        return x.new_zeros(rows + 1, x.shape[-1]).scatter_add(0, ids[:, None].expand_as(x), x)[:-1]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        """Keep the rows; apart from `forward`, as torch.func wants it."""
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Hand a row's to each of its tokens."""
        return _behind(slope).index_select(0, ctx.saved_tensors[0]), None, None


class WeightedSum(torch.autograd.Function):
    """sum_n w_n x_n, weights (M,)."""

    @staticmethod
    def of(weights: Tensor, x: Tensor, ids: Tensor, rows: int) -> Tensor:
        """Return (rows, D)."""
        out: Tensor = WeightedSum.apply(weights, x, ids, rows)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, weights: Tensor, x: Tensor, ids: Tensor, rows: int) -> Tensor:
        """Add up, part by part."""
        weights = weights.masked_fill(ids == rows, 0)
        ctx.save_for_backward(weights, x, ids)
        total = x.new_zeros(rows + 1, x.shape[-1])
        for part in _parts(x):
            _add(total, weights[part, None] * x[part], ids[part])
        return total[:-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Multiply with the weights, and with the tokens."""
        weights, x, ids = ctx.saved_tensors
        of_weights = torch.empty_like(weights) if ctx.needs_input_grad[0] else None
        of_x = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        slopes = _behind(slope)
        for part in _parts(x):
            of_row = slopes.index_select(0, ids[part])
            if of_weights is not None:
                of_weights[part] = torch.linalg.vecdot(of_row, x[part])
            if of_x is not None:
                torch.mul(of_row, weights[part, None], out=of_x[part])
        if of_weights is not None:
            of_weights.masked_fill_(ids == slope.shape[0], 0)
        return of_weights, of_x, None, None


class Extreme(torch.autograd.Function):
    """max_n x_n, or min_n x_n where sign is -1; those that reach it share the gradient, as with amax."""

    @staticmethod
    def of(x: Tensor, ids: Tensor, rows: int, sign: int = 1) -> Tensor:
        """Return (rows, D)."""
        if not x.requires_grad:
            return _extreme(x, ids, rows, sign)[:-1]
        out: Tensor = Extreme.apply(x, ids, rows, sign)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, ids: Tensor, rows: int, sign: int) -> Tensor:
        """Look for the greatest, or the least."""
        extreme = _extreme(x, ids, rows, sign)
        ctx.save_for_backward(x, ids, extreme)
        return extreme[:-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        """Share among those that are as great, or as little."""
        x, ids, extreme = ctx.saved_tensors
        reached, times = torch.empty_like(x), torch.zeros_like(extreme)
        for part in _parts(x):
            torch.eq(x[part], extreme.index_select(0, ids[part]), out=reached[part])
            _add(times, reached[part], ids[part])
        share = _behind(slope) / times.clamp(min=1)
        for part in _parts(x):
            reached[part].mul_(share.index_select(0, ids[part]))
        return reached, None, None, None


class LogSumExp(torch.autograd.Function):
    """log sum_n exp(r x_n), r not 0."""

    @staticmethod
    def of(x: Tensor, ids: Tensor, rows: int, r: float = 1.0) -> Tensor:
        """Return (rows, D)."""
        out: Tensor = LogSumExp.apply(x if r == 1 else r * x, ids, rows)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, ids: Tensor, rows: int) -> Tensor:
        """Add powers up, part by part, none above 1."""
        greatest = _extreme(x, ids, rows)
        total = torch.zeros_like(greatest)
        for part in _parts(x):
            _add(total, (x[part] - greatest.index_select(0, ids[part])).exp_(), ids[part])
        out = greatest + total.clamp(min=1).log()  # the greatest alone is 1
        ctx.save_for_backward(x, ids, out)
        return out[:-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Share in the proportion of the powers."""
        x, ids, out = ctx.saved_tensors
        of_x, slopes = torch.empty_like(x), _behind(slope)
        for part in _parts(x):
            powers = torch.sub(x[part], out.index_select(0, ids[part]), out=of_x[part]).exp_()
            powers.mul_(slopes.index_select(0, ids[part]))
            _unread(powers, ids[part], slope.shape[0])
        return of_x, None, None


class SoftMean(torch.autograd.Function):
    """sum_n softmax_n(s_n) x_n, channel by channel; s are scores (M, D), x itself without them."""

    @staticmethod
    def of(x: Tensor, scores: Tensor | None, ids: Tensor, rows: int) -> Tensor:
        """Return (rows, D)."""
        out: Tensor = SoftMean.apply(x, scores, ids, rows)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, scores: Tensor | None, ids: Tensor, rows: int) -> Tensor:
        """Add powers and weighted tokens up, part by part."""
        s = x if scores is None else scores
        greatest = _extreme(s, ids, rows)
        powers, total = torch.zeros_like(greatest), torch.zeros_like(greatest)
        for part in _parts(x):
            power = (s[part] - greatest.index_select(0, ids[part])).exp_()
            _add(powers, power, ids[part])
            _add(total, power.mul_(x[part]), ids[part])
        out = total / powers.clamp(min=1)
        ctx.save_for_backward(x, scores, ids, greatest + powers.clamp(min=1).log(), out)
        return out[:-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """Through the tokens, weights times slope; through the scores, as far as a token is from the mean as well."""
        x, scores, ids, level, out = ctx.saved_tensors
        of_x, slopes = torch.empty_like(x), _behind(slope)
        of_scores = None if scores is None else torch.empty_like(x)
        for part in _parts(x):
            at = ids[part]
            weights = ((x if scores is None else scores)[part] - level.index_select(0, at)).exp_()
            weights.mul_(slopes.index_select(0, at))
            apart = x[part] - out.index_select(0, at)
            _unread(weights, at, slope.shape[0])
            _unread(apart, at, slope.shape[0])
            if of_scores is None:
                torch.mul(weights, apart.add_(1), out=of_x[part])
            else:
                of_x[part] = weights
                torch.mul(weights, apart, out=of_scores[part])
        return of_x, of_scores, None, None


def _behind(slope: Tensor) -> Tensor:
    """Return slopes (rows, D) with one of 0 behind them, for what is in none of the rows."""
    return torch.cat([slope, slope.new_zeros(1, slope.shape[-1])])


def _unread(found: Tensor, ids: Tensor, rows: int) -> None:
    """Set what is in none of the rows to 0, though it be NaN."""
    found.masked_fill_((ids == rows)[:, None], 0)
