"""Dice: a mean in which tokens count the more the nearer they are to the plain mean.

    y_d = sum_n softmax_n(s_nd) x_nd        s = 2 u m / (u^2 + m^2), u = x_nd, m = 1/n sum_n x_nd, per channel

Stergiou & Poppe, "AdaPool: exponential adaptive pooling for information-retaining downsampling" (2111.00772), where it
is the exponential Dice-Sørensen weighting. Their kernel takes s for each channel; the text can be read as one s of all
channels, 2 u . m / (|u|^2 + |m|^2): similarity="vector".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from cenote.kernels import ragged
from cenote.kernels.dice import DiceMean
from cenote.kernels.segments import masked_softmean, masked_sum, segment_ids, segment_mean, segment_softmean
from cenote.pool.base import Empty, Pooler

Similarity = Literal["channel", "vector"]


class Dice(Pooler):
    """(B, N, D) -> (B, D).

    similarity: a weight a channel, or one a token. Raises ValueError for any other word.
    """

    def __init__(self, similarity: Similarity = "channel", *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.similarity = check_similarity(similarity)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted mean of the kept tokens."""
        if self.similarity == "channel" and ragged.fits(tokens := x.flatten(0, 1)):
            return DiceMean.of(tokens, *ragged.kept(mask))
        x = torch.where(mask[:, :, None], x, 0)  # a token left out must not spoil the gradient of the mean
        mean = masked_sum(x, mask) / mask.sum(1, keepdim=True).clamp(min=1)
        return masked_softmean(x, mask, dice(x, mean[:, None], self.similarity, -1).expand_as(x))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the weighted mean of each segment."""
        if self.similarity == "channel" and ragged.fits(x):
            return DiceMean.of(x, *ragged.all_of(offsets, len(x)))
        mean = segment_mean(x, offsets)[segment_ids(offsets)]
        return segment_softmean(x, offsets, dice(x, mean, self.similarity, -1).expand_as(x))


def check_similarity(similarity: Similarity) -> Similarity:
    """Return it; ValueError where it is neither."""
    if similarity not in ("channel", "vector"):
        raise ValueError(f"similarity must be channel or vector, not {similarity!r}")
    return similarity


def dice(u: Tensor, v: Tensor, similarity: Similarity, channels: int) -> Tensor:
    """Return 2 u v / (u^2 + v^2), in [-1, 1], summed over the axis of the channels first where it is of vectors.

    Of zeros it is 0; the release divides by nothing there.
    """
    product, squares = u * (2 * v), torch.addcmul(v.square() + torch.finfo(u.dtype).tiny ** 0.5, u, u)
    if similarity == "vector":
        product, squares = product.sum(channels, keepdim=True), squares.sum(channels, keepdim=True)
    return product / squares
