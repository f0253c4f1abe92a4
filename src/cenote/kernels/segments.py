"""Reductions over the segments of a packed array: row i of the result is made of x[offsets[i]:offsets[i + 1]].

x (M, D), offsets int64 (B + 1). Everything is differentiable, works on any device, and accumulates half types in fp32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cenote.kernels import along, fused, ragged


def wide(x: Tensor) -> Tensor:
    """Return x in at least fp32: sums of half types lose whole tokens otherwise."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def segment_ids(offsets: Tensor) -> Tensor:
    """Return int64 (M,): the row each packed token belongs to."""
    lengths = offsets.diff()
    return torch.repeat_interleave(torch.arange(len(lengths), device=offsets.device), lengths)


def at_hand(x: Tensor) -> bool:
    """Whether it costs little to ask what x holds: a GPU is waited for, and a graph being compiled does not know."""
    return x.device.type == "cpu" and ragged.holds_numbers()


def rows_without_tokens(mask: Tensor) -> Tensor | None:
    """Return which rows of mask (B, N) keep nothing, bool (B,); None where it is soon told that none does."""
    if at_hand(mask) and mask.shape[1]:
        kept = mask.numpy()
        if kept[:, 0].all() or kept.any(1).all():
            return None
    return ~mask.any(1)


def zeroed(x: Tensor, empty: Tensor | None) -> Tensor:
    """Return x (B, D) with zeros in the rows that are empty (B,); x itself where none is said to be."""
    return x if empty is None else x.masked_fill(empty[:, None], 0)


def segment_sum(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the sum of each segment, zeros for an empty one."""
    if len(offsets) == 2:  # one question, the most frequent batch of a search, has no rows to tell apart
        return x.sum(0, keepdim=True)
    return _of_segments(_SUM, offsets, x)


def segment_weighted_sum(weights: Tensor, x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): sum_n w_n x_nd of each segment, of weights (M,); zeros for an empty one."""
    return _of_segments(_WEIGHTED_SUM, offsets, weights, x)


def segment_softmean(x: Tensor, offsets: Tensor, scores: Tensor | None = None) -> Tensor:
    """Return (B, D): sum_n softmax_n(s_nd) x_nd of each segment; s are scores (M, D), x itself without them."""
    return _of_segments(_SOFT_MEAN, offsets, x, scores)


def segment_max(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the greatest value of each segment per channel, zeros for an empty one."""
    return _of_segments(_EXTREME, offsets, x)


def segment_min(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the least value of each segment per channel, zeros for an empty one."""
    return _of_segments(_EXTREME, offsets, x, sign=-1)


def segment_logsumexp(x: Tensor, offsets: Tensor, r: float = 1.0) -> Tensor:
    """Return (B, D): log sum_n exp(r x_nd) of each segment per channel, 0 for an empty one; r is not 0."""
    return _of_segments(_LOG_SUM_EXP, offsets, x, r=r)


def segment_mean(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the mean of each segment, zeros for an empty one."""
    return segment_sum(x, offsets) / segment_counts(offsets, x.dtype)


def segment_counts(offsets: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (B, 1): how many tokens each segment has, at least 1, for sums to be divided by."""
    if at_hand(offsets):
        bounds = offsets.numpy()
        return torch.from_numpy(np.maximum(bounds[1:] - bounds[:-1], 1)[:, None]).to(dtype)
    return offsets.diff().clamp(min=1)[:, None].to(dtype)


def masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): the sum of the tokens of x (B, N, D) that mask (B, N) keeps.

    What the mask leaves out may be NaN, here and in what follows.
    """
    if all_kept(mask):
        return x.sum(1)
    if not x.is_contiguous():  # the cells of a map lie behind each other, channel by channel
        return masked_weighted_sum(mask.to(x.dtype), x, mask)
    return _of_kept(_SUM, mask, x)


def masked_counts(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (B, 1): how many tokens a mask (B, N) keeps in each row, at least 1, for sums to be divided by."""
    if all_kept(mask):
        return torch.full((len(mask), 1), max(1, mask.shape[1]), dtype=dtype)
    return mask.sum(1, keepdim=True).clamp(min=1).to(dtype)


def masked_weighted_sum(weights: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): sum_n w_n x_nd over the kept tokens, of weights (B, N)."""
    if ragged.fits(x) and weights.dtype == x.dtype:
        places, offsets = ragged.kept(mask)
        return ragged.WeightedSum.of(weights.flatten().index_select(0, places), x.flatten(0, 1), places, offsets)
    if at_hand(x) and not weights.requires_grad:
        product = (torch.where(mask, weights, 0)[:, None] @ x)[:, 0]
        if bool(product.isfinite().all()):  # so all tokens were, and those left out counted for 0
            return product
    return fused.WeightedSum.of(weights.flatten(), x.flatten(0, 1), *_told(mask))


def masked_softmean(x: Tensor, mask: Tensor, scores: Tensor | None = None) -> Tensor:
    """Return (B, D): sum_n softmax_n(s_nd) x_nd over the kept tokens; s are scores (B, N, D), x itself without them."""
    if scores is None and (channels := _by_channel(x)) is not None and all_kept(mask):
        return along.SoftMean.of(channels).view(len(x), x.shape[2])
    return _of_kept(_SOFT_MEAN, mask, x, scores)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): the greatest values of the kept tokens of x (B, N, D), 0 where none is kept."""
    return _masked_extreme(x, mask, 1)


def masked_min(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): the least values of the kept tokens of x (B, N, D), 0 where none is kept."""
    return _masked_extreme(x, mask, -1)


def masked_logsumexp(x: Tensor, mask: Tensor, r: float = 1.0) -> Tensor:
    """Return (B, D): log sum_n exp(r x_nd) over the tokens of x (B, N, D) that mask (B, N) keeps, 0 where none is kept.

    What the mask leaves out may be NaN; r is not 0.
    """
    if (channels := _by_channel(x)) is not None and all_kept(mask):
        return along.LogSumExp.of(channels, r).view(len(x), x.shape[2])
    return _of_kept(_LOG_SUM_EXP, mask, x, r=r)


def all_kept(mask: Tensor) -> bool:
    """Whether there is nothing to leave out, where asking costs less than leaving out."""
    return at_hand(mask) and bool(np.logical_and.reduce(mask.numpy(), axis=None))


def _masked_extreme(x: Tensor, mask: Tensor, sign: int) -> Tensor:
    if (channels := _by_channel(x)) is not None:
        return along.Extreme.of(channels, mask, sign).view(len(x), x.shape[2])
    return _of_kept(_EXTREME, mask, x, sign=sign)


Reductions = tuple[Callable[..., Tensor], Callable[..., Tensor]]
"""One reduction of `ragged`, for what it is made for, and of `fused`, for all else; they are told their rows apart."""
_SUM: Reductions = (ragged.Sum.of, fused.Sum.of)
_WEIGHTED_SUM: Reductions = (ragged.WeightedSum.of, fused.WeightedSum.of)
_SOFT_MEAN: Reductions = (ragged.SoftMean.of, fused.SoftMean.of)
_EXTREME: Reductions = (ragged.Extreme.of, fused.Extreme.of)
_LOG_SUM_EXP: Reductions = (ragged.LogSumExp.of, fused.LogSumExp.of)


def _of_segments(either: Reductions, offsets: Tensor, *given: Tensor | None, **more: float) -> Tensor:
    """Reduce what has a value a packed token."""
    assert given[0] is not None
    if ragged.fits(*given):
        return either[0](*given, *ragged.all_of(offsets, len(given[0])), **more)
    return either[1](*given, segment_ids(offsets), len(offsets) - 1, **more)


def _of_kept(either: Reductions, mask: Tensor, *given: Tensor | None, **more: float) -> Tensor:
    """Reduce the kept tokens of what is (B, N, D)."""
    tokens = [None if one is None else one.flatten(0, 1) for one in given]
    return (
        either[0](*tokens, *ragged.kept(mask), **more)
        if ragged.fits(*tokens)
        else either[1](*tokens, *_told(mask), **more)
    )


def _by_channel(x: Tensor) -> Tensor | None:
    """Return x (B, N, D) as (B D, N) where it lies so, as the cells of a map do, and is of the kind read so."""
    channels = x.transpose(1, 2)
    return channels.flatten(0, 1) if x.numel() and ragged.fits(channels) else None


def _told(mask: Tensor) -> tuple[Tensor, int]:
    """Return the row of each token (B N,) and how many rows there are; what is left out is in none.

    So nothing is copied to be put right: such a copy takes several times as long as the sum.
    """
    count = mask.shape[0]  # which an exported graph may leave open, where len is a number
    rows = torch.arange(count, device=mask.device)[:, None]
    return torch.where(mask, rows, count).flatten(), count


def segment_softmax(scores: Tensor, offsets: Tensor) -> Tensor:
    """Return (M, C): weights that sum to 1 over each segment, channel by channel."""
    if ragged.fits(scores):
        return ragged.Softmax.of(scores, offsets)
    ids = segment_ids(offsets)
    powers = (scores - segment_max(scores.detach(), offsets).index_select(0, ids)).exp()
    return powers / segment_sum(powers, offsets).index_select(0, ids)


def masked_softmax(scores: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Return weights that sum to 1 over the kept places of `dim`, zero elsewhere and where nothing is kept.

    mask is broadcast to scores; what it leaves out may be NaN.
    """
    return lowered(scores, mask, dim).softmax(dim) * mask.any(dim, keepdim=True)


def unpacked(x: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return x (M, D) as (B, N, D), zeros behind each row, and its mask (B, N); N is the longest row."""
    lengths = offsets.diff()
    tokens = int(lengths.max()) if len(lengths) else 0
    rows = segment_ids(offsets)
    places = torch.arange(len(x), device=x.device) + (rows * tokens - offsets[:-1][rows])
    padded = x.new_zeros(len(lengths) * tokens, x.shape[-1]).index_copy(0, places, x)
    mask = torch.arange(tokens, device=x.device) < lengths[:, None]
    return padded.view(len(lengths), tokens, x.shape[-1]), mask


def lowered(x: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Return x with minus infinity, of no power, where the mask leaves it out, but 0 where `dim` keeps nothing.

    There powers of minus infinity alone would have gradients of NaN, even where nothing reads them. mask is broadcast.
    """
    some = mask.any(dim, keepdim=True)
    return torch.where(mask, x, x.new_zeros(()).expand_as(some).masked_fill(some, -float("inf")))


def first_kept(x: Tensor, mask: Tensor) -> Tensor:
    """Return what x (B, N, ...) holds at the first place that mask (B, N) keeps, zeros where nothing is kept."""
    if not mask.shape[1]:
        return x.sum(1)
    first = mask.int().argmax(1)
    found = x[torch.arange(x.shape[0], device=x.device), first]
    return found.masked_fill(~mask.any(1).view(-1, *[1] * (found.ndim - 1)), 0)


def segment_first(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the first token of each segment, zeros for an empty one."""
    if not len(x):
        return x.new_zeros(len(offsets) - 1, x.shape[-1])
    return x[offsets[:-1].clamp(max=len(x) - 1)].masked_fill((offsets.diff() == 0)[:, None], 0)
