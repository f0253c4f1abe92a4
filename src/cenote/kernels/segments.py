"""Reductions over the segments of a packed array: row i of the result is made of x[offsets[i]:offsets[i + 1]].

x (M, D), offsets int64 (B + 1). Everything is differentiable, works on any device, and accumulates half types in fp32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.kernels import fused, ragged


def wide(x: Tensor) -> Tensor:
    """Return x in at least fp32: sums of half types lose whole tokens otherwise."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def segment_ids(offsets: Tensor) -> Tensor:
    """Return int64 (M,): the row each packed token belongs to."""
    lengths = offsets.diff()
    return torch.repeat_interleave(torch.arange(len(lengths), device=offsets.device), lengths)


def at_hand(x: Tensor) -> bool:
    """Whether it costs little to ask what x holds: a GPU is waited for, and a graph being compiled does not know."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


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
    if ragged.fits(x):
        return ragged.Sum.of(x, *ragged.all_of(offsets, len(x)))
    return fused.Sum.of(x, segment_ids(offsets), len(offsets) - 1)


def segment_weighted_sum(weights: Tensor, x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): sum_n w_n x_nd of each segment, of weights (M,); zeros for an empty one."""
    if ragged.fits(x, weights):
        return ragged.WeightedSum.of(weights, x, *ragged.all_of(offsets, len(x)))
    return fused.WeightedSum.of(weights, x, segment_ids(offsets), len(offsets) - 1)


def segment_softmean(x: Tensor, offsets: Tensor, scores: Tensor | None = None) -> Tensor:
    """Return (B, D): sum_n softmax_n(s_nd) x_nd of each segment; s are scores (M, D), x itself without them."""
    if ragged.fits(x, x if scores is None else scores):
        return ragged.SoftMean.of(x, scores, *ragged.all_of(offsets, len(x)))
    return fused.SoftMean.of(x, scores, segment_ids(offsets), len(offsets) - 1)


def masked_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): the sum of the tokens of x (B, N, D) that mask (B, N) keeps.

    What the mask leaves out may be NaN, here and in what follows.
    """
    if _all_kept(x, mask):
        return x.sum(1)
    if not x.is_contiguous():  # the cells of a map lie behind each other, channel by channel
        return masked_weighted_sum(mask.to(x.dtype), x, mask)
    tokens = x.flatten(0, 1)
    return ragged.Sum.of(tokens, *ragged.kept(mask)) if ragged.fits(x) else fused.Sum.of(tokens, *_told(mask))


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
    x, scores = x.flatten(0, 1), None if scores is None else scores.flatten(0, 1)
    if ragged.fits(x, x if scores is None else scores):
        return ragged.SoftMean.of(x, scores, *ragged.kept(mask))
    return fused.SoftMean.of(x, scores, *_told(mask))


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): the greatest values of the kept tokens of x (B, N, D), 0 where none is kept."""
    if not x.is_contiguous() and x.shape[1]:
        if _all_kept(x, mask):
            return x.amax(1)
        greatest = torch.where(mask[:, :, None], x, -float("inf")).amax(1)
        return greatest.masked_fill(~mask.any(1)[:, None], 0)
    if ragged.fits(x):
        return ragged.Extreme.of(x.flatten(0, 1), *ragged.kept(mask))
    return fused.Extreme.of(x.flatten(0, 1), *_told(mask))


def masked_min(x: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D): the least values of the kept tokens of x (B, N, D), 0 where none is kept."""
    if not x.is_contiguous():
        return -masked_max(-x, mask)
    if ragged.fits(x):
        return ragged.Extreme.of(x.flatten(0, 1), *ragged.kept(mask), -1)
    return fused.Extreme.of(x.flatten(0, 1), *_told(mask), "amin")


def _all_kept(x: Tensor, mask: Tensor) -> bool:
    """Whether there is nothing to leave out, where asking costs less than leaving out."""
    return at_hand(x) and bool(mask.all())


def _told(mask: Tensor) -> tuple[Tensor, int]:
    """Return the row of each token (B N,) and how many rows there are; what is left out is in none.

    So nothing is copied to be put right: such a copy takes several times as long as the sum.
    """
    rows = torch.arange(len(mask), device=mask.device)[:, None]
    return torch.where(mask, rows, len(mask)).flatten(), len(mask)


def segment_mean(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the mean of each segment, zeros for an empty one."""
    return segment_sum(x, offsets) / offsets.diff().clamp(min=1)[:, None].to(x.dtype)


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


def segment_max(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the greatest value of each segment per channel, zeros for an empty one."""
    if ragged.fits(x):
        return ragged.Extreme.of(x, *ragged.all_of(offsets, len(x)))
    return fused.Extreme.of(x, segment_ids(offsets), len(offsets) - 1)


def segment_min(x: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, D): the least value of each segment per channel, zeros for an empty one."""
    if ragged.fits(x):
        return ragged.Extreme.of(x, *ragged.all_of(offsets, len(x)), -1)
    return fused.Extreme.of(x, segment_ids(offsets), len(offsets) - 1, "amin")


def masked_logsumexp(x: Tensor, mask: Tensor, r: float = 1.0) -> Tensor:
    """Return (B, D): log sum_n exp(r x_nd) over the tokens of x (B, N, D) that mask (B, N) keeps, 0 where none is kept.

    What the mask leaves out may be NaN; r is not 0.
    """
    by_channel = x.transpose(1, 2)
    if x.shape[1] and ragged.fits(by_channel) and bool(mask.all()):
        return ragged.LogSumExpAlong.of(by_channel.flatten(0, 1), r).view(len(x), x.shape[2])
    x = x.flatten(0, 1)
    if ragged.fits(x):
        return ragged.LogSumExp.of(x, *ragged.kept(mask), r)
    return fused.LogSumExp.of(r * x, *_told(mask))


def lowered(x: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Return x with minus infinity, of no power, where the mask leaves it out, but 0 where `dim` keeps nothing.

    There powers of minus infinity alone would have gradients of NaN, even where nothing reads them. mask is broadcast.
    """
    some = mask.any(dim, keepdim=True)
    return torch.where(mask, x, x.new_zeros(()).expand_as(some).masked_fill(some, -float("inf")))


def segment_logsumexp(x: Tensor, offsets: Tensor, r: float = 1.0) -> Tensor:
    """Return (B, D): log sum_n exp(r x_nd) of each segment per channel, 0 for an empty one; r is not 0."""
    if ragged.fits(x):
        return ragged.LogSumExp.of(x, *ragged.all_of(offsets, len(x)), r)
    return fused.LogSumExp.of(r * x, segment_ids(offsets), len(offsets) - 1)


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
