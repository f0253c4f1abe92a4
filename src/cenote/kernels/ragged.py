"""Reductions of the tokens of rows as in `kernels.fused`, for float32 on a processor: read once, where they lie.

x (M, D) contiguous, places int64 (K,): the tokens that the rows read, ascending and row after row; offsets int64
(B + 1): row b reads places[offsets[b]:offsets[b + 1]] -> (B, D), zeros for a row without tokens. What no row reads may
be NaN, and its gradient is 0.

Sums are torch's bags of embeddings, slopes and powers are loops of numba; nothing is written but the results, since
memory that is new to a process takes longer to get than to fill.
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

_SHARED_FROM = 2**21
"""Numbers from which threads share the rows: fewer lie in the cache, and asking a thread takes as long as the loop."""

_counted = np.arange(0)
"""0, 1, 2, … as far as they were asked for; an array, as a tensor of inference could not be kept for a gradient."""


def fits(*given: Tensor | None) -> bool:
    """Whether tensors are of the kind that is read here."""
    return holds_numbers() and all(
        one is None or (one.dtype == torch.float32 and one.device.type == "cpu" and one.is_contiguous())
        for one in given
    )


def holds_numbers() -> bool:
    """Whether tensors hold numbers that numpy can read, which they do not while torch.compile or torch.func traces."""
    return not torch.compiler.is_compiling() and not torch._C._are_functorch_transforms_active()


def all_of(offsets: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Return places and offsets of rows that read every token."""
    global _counted
    if len(_counted) < tokens:
        _counted = np.arange(2 * tokens)
    return torch.from_numpy(_counted[:tokens]), offsets.long()


def kept(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return places and offsets of rows that read the tokens a mask (B, N) keeps, of B N tokens."""
    rows, tokens = mask.shape
    places = np.flatnonzero(mask.numpy())
    offsets = places.searchsorted(np.arange(rows + 1) * tokens)
    return torch.from_numpy(places), torch.from_numpy(offsets)


class Sum(torch.autograd.Function):
    """sum_n x_n."""

    @staticmethod
    def of(x: Tensor, places: Tensor, offsets: Tensor) -> Tensor:
        """Return (B, D)."""
        if not x.requires_grad:
            return _bags(x, places, offsets)
        out: Tensor = Sum.apply(x, places, offsets)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, offsets: Tensor) -> Tensor:
        """Add up."""
        ctx.save_for_backward(places, offsets)
        ctx.tokens = len(x)
        return _bags(x, places, offsets)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Hand a row's to each of its tokens."""
        places, offsets = ctx.saved_tensors
        return Spread.of(slope, places, offsets, ctx.tokens), None, None


class Spread(torch.autograd.Function):
    """y_n = x_b for the tokens that row b reads, 0 for those that none reads: what a sum hands back."""

    @staticmethod
    def of(x: Tensor, places: Tensor, offsets: Tensor, tokens: int) -> Tensor:
        """Return (tokens, D) of x (B, D)."""
        if not x.requires_grad:
            return _spread(x, places, offsets, tokens)
        out: Tensor = Spread.apply(x, places, offsets, tokens)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, offsets: Tensor, tokens: int) -> Tensor:
        """Copy."""
        ctx.save_for_backward(places, offsets)
        return _spread(x, places, offsets, tokens)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        """Add up."""
        return Sum.of(slope.contiguous(), *ctx.saved_tensors), None, None, None


class WeightedSum(torch.autograd.Function):
    """sum_n w_n x_n, weights (K,)."""

    @staticmethod
    def of(weights: Tensor, x: Tensor, places: Tensor, offsets: Tensor) -> Tensor:
        """Return (B, D)."""
        out: Tensor = WeightedSum.apply(weights, x, places, offsets)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, weights: Tensor, x: Tensor, places: Tensor, offsets: Tensor) -> Tensor:
        """Add up."""
        ctx.save_for_backward(weights, x, places, offsets)
        return _bags(x, places, offsets, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Multiply with the weights, and with the tokens."""
        from cenote.kernels import ragged_loops

        weights, x, places, offsets = ctx.saved_tensors
        of_weights = torch.empty_like(weights) if ctx.needs_input_grad[0] else None
        of_x = room.like(x) if ctx.needs_input_grad[1] else None
        if of_weights is not None:
            over_rows(ragged_loops.products, places, offsets, x, slope, of_weights)
        if of_x is not None:
            over_rows(ragged_loops.weighted, places, offsets, slope, weights, of_x)
        return of_weights, of_x, None, None


class Extreme(torch.autograd.Function):
    """max_n x_n, or min_n x_n where sign is -1; the gradient is shared by the tokens that reach it."""

    @staticmethod
    def of(x: Tensor, places: Tensor, offsets: Tensor, sign: int = 1) -> Tensor:
        """Return (B, D)."""
        if not x.requires_grad:
            return _extreme(x, places, offsets, sign)
        out: Tensor = Extreme.apply(x, places, offsets, sign)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, offsets: Tensor, sign: int) -> Tensor:
        """Look for the greatest, or the least."""
        most = _extreme(x, places, offsets, sign)
        ctx.save_for_backward(x, places, offsets, most)
        return most

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        """Share among those that are as great, or as little."""
        from cenote.kernels import ragged_loops

        x, places, offsets, most = ctx.saved_tensors
        of_x = room.like(x)
        over_rows(ragged_loops.shared_by_reaching, places, offsets, x, most, slope, of_x)
        return of_x, None, None, None


class LogSumExp(torch.autograd.Function):
    """log sum_n exp(r x_n), r not 0."""

    @staticmethod
    def of(x: Tensor, places: Tensor, offsets: Tensor, r: float = 1.0) -> Tensor:
        """Return (B, D)."""
        out: Tensor = LogSumExp.apply(x, places, offsets, r)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, offsets: Tensor, r: float) -> Tensor:
        """Add powers up, none above 1."""
        from cenote.kernels import ragged_loops

        most = _extreme(x, places, offsets, 1 if r > 0 else -1).mul_(r)
        total = torch.empty_like(most)
        over_rows(ragged_loops.powers, places, offsets, x, x.new_tensor(r), most, total)
        out = most.add_(total.clamp_(min=1).log_())  # the greatest alone is 1
        ctx.save_for_backward(x, places, offsets, out)
        ctx.r = r
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        """Share in the proportion of the powers."""
        from cenote.kernels import ragged_loops

        x, places, offsets, out = ctx.saved_tensors
        of_x = room.like(x)
        over_rows(ragged_loops.power_slopes, places, offsets, x, x.new_tensor(ctx.r), out, ctx.r * slope, of_x)
        return of_x, None, None, None


class SoftMean(torch.autograd.Function):
    """sum_n softmax_n(s_n) x_n, channel by channel; s are scores (M, D), x itself without them."""

    @staticmethod
    def of(x: Tensor, scores: Tensor | None, places: Tensor, offsets: Tensor) -> Tensor:
        """Return (B, D)."""
        out: Tensor = SoftMean.apply(x, scores, places, offsets)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, x: Tensor, scores: Tensor | None, places: Tensor, offsets: Tensor) -> Tensor:
        """Add powers and weighted tokens up."""
        from cenote.kernels import ragged_loops

        s = x if scores is None else scores
        most = _extreme(s, places, offsets)
        powers, total = torch.empty_like(most), torch.empty_like(most)
        over_rows(ragged_loops.soft_sums, places, offsets, x, s, most, powers, total)
        out = total.div_(powers.clamp_(min=1))
        ctx.save_for_backward(x, scores, places, offsets, most.add_(powers.log_()), out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """Through the tokens, weights times slope; through the scores, as far as a token is from the mean as well."""
        from cenote.kernels import ragged_loops

        x, scores, places, offsets, level, mean = ctx.saved_tensors
        of_x = room.like(x)
        if scores is None:
            over_rows(ragged_loops.soft_slopes_of_itself, places, offsets, x, level, mean, slope, of_x)
            return of_x, None, None, None
        of_scores = room.like(x)
        over_rows(ragged_loops.soft_slopes, places, offsets, x, scores, level, mean, slope, of_x, of_scores)
        return of_x, of_scores, None, None


class Softmax(torch.autograd.Function):
    """softmax_n(s_n), channel by channel; every token of the scores s (M, C) is read, row by row."""

    @staticmethod
    def of(scores: Tensor, offsets: Tensor) -> Tensor:
        """Return (M, C)."""
        out: Tensor = Softmax.apply(scores, offsets)  # type: ignore[no-untyped-call]
        return out

    @staticmethod
    def forward(ctx: Any, scores: Tensor, offsets: Tensor) -> Tensor:
        """Divide powers by their sum."""
        from cenote.kernels import ragged_loops

        out = room.like(scores)
        over_rows(ragged_loops.softmax, *all_of(offsets, len(scores)), scores, out)
        ctx.save_for_backward(out, offsets)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Multiply with how far a slope is above their weighted mean."""
        from cenote.kernels import ragged_loops

        out, offsets = ctx.saved_tensors
        of_scores = room.like(out)
        over_rows(ragged_loops.softmax_slopes, *all_of(offsets, len(out)), out, slope, of_scores)
        return of_scores, None


def greatest_places(x: Tensor, places: Tensor, offsets: Tensor, counts: Tensor, slots: int) -> Tensor:
    """Return int64 (B, slots, D): where in x the counts (B,) greatest values of each row are, ascending, then zeros.

    Of equal ones the first. counts: at most the tokens of the row, and at most slots.
    """
    from cenote.kernels import ragged_loops

    out = torch.zeros(len(counts), slots, x.shape[1], dtype=torch.int64)
    over_rows(ragged_loops.greatest_places, places, offsets, x, counts, out)
    return out


def _bags(x: Tensor, places: Tensor, offsets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return (B, D): the sums of the rows, of each token times its weight (K,) with them."""
    if not len(places):
        return x.new_zeros(len(offsets) - 1, x.shape[1])
    return torch.embedding_bag(x, places, offsets, mode=0, per_sample_weights=weights, include_last_offset=True)[0]


def _spread(x: Tensor, places: Tensor, offsets: Tensor, tokens: int) -> Tensor:
    out = room.of(tokens, x.shape[1])
    if len(places) < tokens:  # what is in no row has the 0 that is put behind the others
        x = torch.cat([x, x.new_zeros(1, x.shape[1])])
    return torch.index_select(x, 0, _row_of_each(places, offsets, tokens), out=out)


def _extreme(x: Tensor, places: Tensor, offsets: Tensor, sign: int = 1) -> Tensor:
    rows, (tokens, width) = len(offsets) - 1, x.shape
    # so strided, torch takes whole tokens at once
    ids = _row_of_each(places, offsets, tokens).as_strided((tokens, width), (1, 0))
    most = x.new_zeros(rows + (len(places) < tokens), width)
    most.scatter_reduce_(0, ids, x, "amax" if sign > 0 else "amin", include_self=False)
    return most if len(most) == rows else most[:rows]


def _row_of_each(places: Tensor, offsets: Tensor, tokens: int) -> Tensor:
    """Return int64 (M,): the row that reads a token, B for one that none reads."""
    bounds = offsets.numpy()
    rows = np.arange(len(bounds) - 1).repeat(bounds[1:] - bounds[:-1])
    if len(rows) == tokens:
        return torch.from_numpy(rows)
    ids = np.full(tokens, len(bounds) - 1)
    ids[places.numpy()] = rows
    return torch.from_numpy(ids)


def over_rows(loop: Callable[..., None], places: Tensor, offsets: Tensor, *given: Tensor) -> None:
    """Call a loop for all rows, in parts of them where there are many numbers; given first is what is as wide as x."""
    arrays = [one.detach().contiguous().numpy() for one in (places, offsets, *given)]
    rows, numbers = len(offsets) - 1, arrays[0].size * arrays[2].shape[-1]
    if numbers < _SHARED_FROM:
        loop(*arrays, 0, rows)
        return
    over_pieces(lambda first, last: loop(*arrays, first, last), rows, rows * _SHARED_FROM // (2 * numbers))
