"""Partial transport: each token gives some of its mass 1/n to prototypes, a share mu of it all together.

    min over pi, rho >= 0 of  sum c_ij pi_ij + 1/gamma (sum pi_ij (log pi_ij - 1) + sum rho_i (log rho_i - 1))
    with rho_i + sum_j pi_ij = 1/n for each token i, and sum_ij pi_ij = mu

In closed form, with l_i = logsumexp_j(-gamma c_ij):

    n sum_j pi_ij = sigmoid(l_i + lambda)        lambda the one number for which their mean is mu

The mean grows with lambda, so that its root is found in a few steps; the published solver scales the plan a hundred
times. The gradient is that of the implicit function.

Gurbuz, Sener & Alatan, "Generalized Sum Pooling for Metric Learning" (2308.09228); the closed form is ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEWTON = 6
"""Steps from a bracket of width 1: each squares the error, and the sixth is below what float64 shows."""


def given_away(affinity: Tensor, mask: Tensor, mu: float, spread: float) -> Tensor:
    """Return (B, N): the share of its mass that each kept token gives, whose mean over a row is mu; zero elsewhere.

    affinity (B, N) is l, finite everywhere; mu in (0, 1]; spread bounds the greatest minus the least l of a row.
    """
    if mu == 1 or not mask.shape[1]:
        return mask.to(affinity.dtype)
    with torch.no_grad():
        root = _root(affinity, mask, mu, spread)
        share = torch.sigmoid(affinity + root).masked_fill(~mask, 0)
        slope = share * torch.sigmoid(-affinity - root)
        # where all shares are 0 or 1 the root may lie anywhere and has no gradient
        slope = slope / slope.sum(1, keepdim=True).clamp(min=torch.finfo(slope.dtype).tiny)
    moved = (slope * affinity).sum(1, keepdim=True)
    root = root + moved.detach() - moved
    return torch.sigmoid(affinity + root).masked_fill(~mask, 0)


def _root(affinity: Tensor, mask: Tensor, mu: float, spread: float) -> Tensor:
    """Return (B, 1): lambda, by halving the bracket to width 1 and Newton's steps on the logit of the mean."""
    wanted = math.log(mu) - math.log1p(-mu)
    count, empty = mask.sum(1, keepdim=True).clamp(min=1), ~mask.any(1, keepdim=True)
    # no row has its root outside: there all of its shares are above mu, or all below
    low, high = (
        (wanted - end).masked_fill(empty, 0)
        for end in (
            affinity.masked_fill(~mask, -torch.inf).amax(1, keepdim=True),
            affinity.masked_fill(~mask, torch.inf).amin(1, keepdim=True),
        )
    )
    for _ in range(math.ceil(math.log2(max(spread, 1)))):
        middle = (low + high) / 2
        mean = torch.sigmoid(affinity + middle).masked_fill(~mask, 0).sum(1, keepdim=True) / count
        low, high = torch.where(mean < mu, middle, low), torch.where(mean < mu, high, middle)
    root = (low + high) / 2
    for _ in range(NEWTON):
        share, rest = (torch.sigmoid(sign * (affinity + root)).masked_fill(~mask, 0) for sign in (1, -1))
        mean, left = share.sum(1, keepdim=True) / count, rest.sum(1, keepdim=True) / count
        slope = (share * rest).sum(1, keepdim=True) / count / (mean * left)
        step = (mean.log() - left.log() - wanted) / slope
        root = (root - step.nan_to_num(0)).clamp(low, high)
    return root
