"""Reductions over the segments of a packed array: row i of the result is made of x[offsets[i]:offsets[i + 1]].

x (M, D), offsets int64 (B + 1). Everything is differentiable, works on any device, and accumulates half types in fp32.
"""

from __future__ import annotations

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """Return x in at least fp32: sums of half types lose whole tokens otherwise."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def segment_ids(offsets: Tensor) -> Tensor:
    """Return int64 (M,): the row each packed token belongs to."""
    lengths = offsets.diff()
    return torch.repeat_interleave(torch.arange(len(lengths), device=offsets.device), lengths)


def segment_sum(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the sum of each segment, zeros for an empty one."""
    # an index that is expanded along the channels takes torch's path for whole rows, 2.5 times faster than index_add
    index = segment_ids(offsets)[:, None].expand_as(x)
    return x.new_zeros(len(offsets) - 1, x.shape[-1]).scatter_add(0, index, x)


def segment_mean(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the mean of each segment, zeros for an empty one."""
    return segment_sum(x, offsets) / offsets.diff().clamp(min=1)[:, None].to(x.dtype)


def segment_softmax(scores: Tensor, offsets: Tensor) -> Tensor:
    """Return (M, C): weights that sum to 1 over each segment, channel by channel."""
    powers = segment_powers(scores, offsets)
    return powers / segment_sum(powers, offsets).index_select(0, segment_ids(offsets))


def segment_powers(scores: Tensor, offsets: Tensor) -> Tensor:
    """Return (M, C): what `segment_softmax` divides by its sums, exp(score - the greatest of the segment)."""
    greatest = segment_max(scores.detach(), offsets)
    return (scores - greatest.index_select(0, segment_ids(offsets))).exp_()


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


def segment_max(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the greatest value of each segment per channel, zeros for an empty one."""
    index = segment_ids(offsets)[:, None].expand_as(x)
    return x.new_zeros(len(offsets) - 1, x.shape[-1]).scatter_reduce(0, index, x, "amax", include_self=False)


def masked_logsumexp(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): log sum_n exp(x_nd) over the tokens of x (B, N, D) that mask (B, N) keeps, 0 where none is kept.

    What the mask leaves out may be NaN.
    """
    return lowered(x, mask[:, :, None], 1).logsumexp(1).masked_fill(~mask.any(1)[:, None], 0)


def lowered(x: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Return x with minus infinity, of no power, where the mask leaves it out, but 0 where `dim` keeps nothing.

    There powers of minus infinity alone would have gradients of NaN, even where nothing reads them. mask is broadcast.
    """
    some = mask.any(dim, keepdim=True)
    return torch.where(mask, x, x.new_zeros(()).expand_as(some).masked_fill(some, -float("inf")))


def segment_logsumexp(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): log sum exp of each segment per channel, 0 for an empty one."""
    greatest = segment_max(x.detach(), offsets)
    total = segment_sum((x - greatest.index_select(0, segment_ids(offsets))).exp_(), offsets)
    return greatest + total.masked_fill((offsets.diff() == 0)[:, None], 1).log()


def first_kept(x: Tensor, mask: Tensor) -> Tensor:
    """Return what x (B, N, ...) holds at the first place that mask (B, N) keeps, zeros where nothing is kept."""
    if not mask.shape[1]:
        return x.sum(1)
    first = mask.int().argmax(1)
    found = x[torch.arange(len(x), device=x.device), first]
    return found.masked_fill(~mask.any(1).view(-1, *[1] * (found.ndim - 1)), 0)


def segment_first(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the first token of each segment, zeros for an empty one."""
    if not len(x):
        return x.new_zeros(len(offsets) - 1, x.shape[-1])
    return x[offsets[:-1].clamp(max=len(x) - 1)].masked_fill((offsets.diff() == 0)[:, None], 0)
