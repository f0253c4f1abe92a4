"""GSP: generalised sum pooling; tokens near learned prototypes count, the others next to nothing.

    f = x W + b                                        (B, N, W)
    l_i = logsumexp_j(-gamma |u(f_i) - u(w_j)|)        w (m, W) learned, u(v) = v / max(|v|, 1)
    p_i = sigmoid(l_i + lambda) / mu                   lambda such that the mean of p over a row is 1
    y = 1/n sum_i p_i f_i                              (B, W)

p comes of transporting the share mu of the tokens' mass to the prototypes (`partial_transport`): mu = 1 or gamma = 0 is
the mean. With reduce "max" or "gem" the weighted tokens p_i x_i are reduced first, then embedded.

Gurbuz, Sener & Alatan, "Generalized Sum Pooling for Metric Learning" (2308.09228).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cenote.kernels.segments import segment_max, segment_mean, unpacked
from cenote.pool.base import Empty, Pooler
from cenote.pool.k_centre import greedy_k_centre
from cenote.pool.max import Max
from cenote.pool.mean import Mean
from cenote.pool.partial_transport import given_away

Reduce = Literal["mean", "max", "gem"]
LEAST = 1e-6
"""What generalised means take for anything smaller, as the released code does."""


class GSP(Pooler):
    """(B, N, D) -> (B, W).

    width: W, by default D. prototypes: m. mu: the share of the tokens' mass that counts. gamma: how sharply tokens are
    told apart; near 0 they hardly are. reduce: "mean" of the embedded tokens, or "max" or generalised mean ("gem", of
    a learned power that begins at 3) of the tokens, then embedded.

    Raises ValueError for sizes below 1, mu outside (0, 1], gamma below 0 and an unknown reduce.
    """

    def __init__(
        self,
        dim: int,
        width: int | None = None,
        prototypes: int = 64,
        mu: float = 0.3,
        gamma: float = 5.0,
        reduce: Reduce = "mean",
        *,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(empty=empty)
        for name, size in (("dim", dim), ("width", dim if width is None else width), ("prototypes", prototypes)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}")
        if not 0 < mu <= 1:
            raise ValueError(f"mu must be above 0 and at most 1, not {mu}")
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"gamma must be at least 0 and finite, not {gamma}")
        if reduce not in ("mean", "max", "gem"):
            raise ValueError(f"reduce must be mean, max or gem, not {reduce!r}")
        self.dim, self.width, self.prototypes = dim, width, prototypes
        self.mu, self.gamma, self.reduce = mu, gamma, reduce
        self.embed = nn.Linear(dim, dim if width is None else width)
        self.centres = nn.Parameter(torch.empty(prototypes, self.embed.out_features))
        nn.init.kaiming_normal_(self.centres, mode="fan_out")
        if reduce == "gem":
            self.power = nn.Parameter(torch.tensor(3.0))

    def out_dim(self, dim: int) -> int:
        """Return W."""
        return self.embed.out_features

    @torch.no_grad()
    def init_prototypes(self, points: Tensor) -> None:
        """Set the prototypes to points (P, W) far from each other: embeddings of tokens, or class weights.

        Raises ValueError for fewer points than prototypes.
        """
        self.centres.copy_(points[greedy_k_centre(points, self.prototypes)])

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Reduce the weighted tokens of each row."""
        x = x.masked_fill(~mask[:, :, None], 0)
        embedded = self.embed(x)
        weight = self._given(self._affinity(embedded), mask)[:, :, None] / self.mu
        if self.reduce == "mean":
            return Mean().padded(weight * embedded, mask)
        out: Tensor = self.embed(
            Max().padded(weight * x, mask)
            if self.reduce == "max"
            else self._root_mean(Mean().padded(self._powers(weight * x), mask))
        )
        return out

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Reduce the weighted tokens of each segment; only the weights, a number a token, are laid out as rows."""
        embedded = self.embed(x)
        affinity, mask = unpacked(self._affinity(embedded)[:, None], offsets)
        weight = self._given(affinity[:, :, 0], mask)[mask][:, None] / self.mu
        if self.reduce == "mean":
            return segment_mean(weight * embedded, offsets)
        out: Tensor = self.embed(
            segment_max(weight * x, offsets)
            if self.reduce == "max"
            else self._root_mean(segment_mean(self._powers(weight * x), offsets))
        )
        return out

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N): p / n, which sums to 1 over a row."""
        embedded = self.embed(x.masked_fill(~mask[:, :, None], 0))
        return self._given(self._affinity(embedded), mask) / self.mu / mask.sum(1, keepdim=True).clamp(min=1)

    def attributes(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, m): the share of the transported mass that each prototype receives, which sums to 1 over a row.

        Training predicts classes from it (`ZeroShotPrediction`).
        """
        embedded = self.embed(x.masked_fill(~mask[:, :, None], 0))
        kernel = self._kernel(embedded)
        share = self._given(kernel.logsumexp(-1), mask) / self.mu / mask.sum(1, keepdim=True).clamp(min=1)
        return torch.einsum("bn,bnm->bm", share, kernel.softmax(-1))

    def _kernel(self, embedded: Tensor) -> Tensor:
        return -self.gamma * torch.cdist(_in_unit_ball(embedded), _in_unit_ball(self.centres))

    def _affinity(self, embedded: Tensor) -> Tensor:
        return self._kernel(embedded).logsumexp(-1)

    def _given(self, affinity: Tensor, mask: Tensor) -> Tensor:
        # no two points of the unit ball are further apart than 2
        return given_away(affinity, mask, self.mu, 2 * self.gamma)

    def _powers(self, x: Tensor) -> Tensor:
        return x.clamp(min=LEAST).pow(self.power)

    def _root_mean(self, x: Tensor) -> Tensor:
        out: Tensor = x.clamp(min=torch.finfo(x.dtype).tiny).pow(1 / self.power)
        return out


def _in_unit_ball(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.clamp(min=1)
