"""GWAP: global weighted average pooling, whose weights say where the thing is.

    y = sum_n w_n x_n / sum_n w_n        w_n = act(v x_n + b) >= 0

Qiu, "Global weighted average pooling bridges pixel-level localization and image-level classification" (1809.08264), the
class-agnostic module. With act = exp it is softmax attention; sigmoid and softplus keep how much a token counts in
absolute terms, which `objectness` gives as a map.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.kernels.segments import masked_softmax, masked_weighted_sum, segment_softmax, segment_weighted_sum
from cenote.pool.base import Empty, Pooler

Activation = Literal["sigmoid", "softplus", "exp"]


class GWAP(Pooler):
    """(B, N, D) -> (B, D).

    dim: D. act: what makes a score a weight. hidden: width of a layer with a ReLU before the score; None scores tokens
    linearly. Training begins at the mean.

    Raises ValueError for an act that is none of the three, or hidden below 1.
    """

    def __init__(
        self, dim: int, *, act: Activation = "sigmoid", hidden: int | None = None, empty: Empty = "zero"
    ) -> None:
        super().__init__(empty=empty)
        self.dim, self.act, self.hidden = dim, check_activation(act), hidden
        self.score = scorer(dim, 1, hidden)

    def objectness(self, x: Tensor) -> Tensor:
        """Return w (…) of tokens x (…, D), not divided by their sum: a map for x (B, H, W, D)."""
        return log_weight(self.score(x), self.act).exp().squeeze(-1)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N): w over its sum."""
        logs = log_weight(self.score(torch.where(mask[:, :, None], x, 0)), self.act)
        return masked_softmax(logs.squeeze(-1), mask, 1)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted mean of the kept tokens."""
        x = torch.where(mask[:, :, None], x, 0)
        logs = log_weight(self.score(x), self.act)
        return masked_weighted_sum(masked_softmax(logs.squeeze(-1), mask, 1), x, mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the weighted mean of each segment."""
        weights = segment_softmax(log_weight(self.score(x), self.act), offsets)
        return segment_weighted_sum(weights.squeeze(-1), x, offsets)


def scorer(dim: int, scores: int, hidden: int | None) -> nn.Sequential:
    """Return what scores tokens, zero for every token at first."""
    if hidden is not None and hidden < 1:
        raise ValueError(f"hidden must be at least 1 or None, not {hidden}")
    last = nn.Linear(dim if hidden is None else hidden, scores)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(last) if hidden is None else nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), last)


def check_activation(act: Activation) -> Activation:
    """Return act; ValueError where it is none of the three."""
    if act not in ("sigmoid", "softplus", "exp"):
        raise ValueError(f"act must be sigmoid, softplus or exp, not {act!r}")
    return act


def log_weight(scores: Tensor, act: Activation) -> Tensor:
    """Return log act(score): weights too small for a float are still in proportion, so their sum needs no epsilon."""
    if act == "sigmoid":
        return F.logsigmoid(scores)
    if act == "softplus":
        # softplus is exp to the last bit of a double below -40
        return torch.where(scores < -40, scores, F.softplus(scores.clamp(min=-40)).log())
    return scores
