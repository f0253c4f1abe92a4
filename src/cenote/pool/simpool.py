"""SimPool: one attention whose query is the mean of the tokens, over values raised to a power.

    a = softmax_n(W_q u . W_k LN(x_n) / sqrt(D))        u = mean of the x_n
    y_d = ( sum_n a_n v_nd^gamma )^(1/gamma)            v = LN(x) - min LN(x) + eps

Psomas, Kakogeorgiou, Karantzalos & Avrithis, "Keep it SimPool: who said supervised transformers suffer from attention
deficit?" (2309.06891). There is one query a row, so the keys' projection is folded into it and costs D^2, not N D^2.

The released code takes its minimum over the whole batch, so that an image's vector changes with its neighbours; here it
is of each row.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cenote.kernels.segments import masked_logsumexp, unpacked
from cenote.pool.base import Empty, Pooler


class SimPool(Pooler):
    """(B, N, D) -> (B, D).

    dim: D. heads: attentions over as many groups of channels. gamma: the power, 1.25 for transformers, 2 for
    convolutional nets; None takes the weighted mean of LN(x) as it is. min_scope: whether the minimum is of all
    channels of a row or of each, as timm has it. eps: what the least value is lifted to.

    Raises ValueError for heads that do not divide dim, gamma or eps that are not above 0, or another min_scope.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 1,
        gamma: float | None = 1.25,
        *,
        min_scope: Literal["example", "channel"] = "example",
        eps: float = 1e-6,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(empty=empty)
        if heads < 1 or dim % heads:
            raise ValueError(f"heads must divide dim: {dim} cannot be split among {heads}")
        if gamma is not None and not gamma > 0:
            raise ValueError(f"gamma must be greater than 0 or None, not {gamma}")
        if min_scope not in ("example", "channel"):
            raise ValueError(f"min_scope must be example or channel, not {min_scope!r}")
        if not eps > 0:
            raise ValueError(f"eps must be greater than 0, not {eps}")
        self.dim, self.heads, self.gamma, self.min_scope, self.eps = dim, heads, gamma, min_scope, eps
        self.norm = nn.LayerNorm(dim, eps=1e-6)  # the epsilon of the authors' vision transformers
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        for one in (self.query, self.key):
            nn.init.trunc_normal_(one.weight, std=0.02)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, H, N): the attention of each head."""
        x = x.masked_fill(~mask[:, :, None], 0)
        return self._log_weights(x, self.norm(x), mask).exp().masked_fill(~mask[:, :, None], 0).transpose(1, 2)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted power mean of the kept tokens, head by head."""
        kept = mask[:, :, None]
        x = torch.where(kept, x, 0)
        tokens = self.norm(x)
        by_head = (*x.shape[:2], self.heads, x.shape[2] // self.heads)
        logs = self._log_weights(x, tokens, mask)
        if self.gamma is None:
            weights = logs.exp().masked_fill(~kept, 0)
            return torch.einsum("bnh,bnhe->bhe", weights, tokens.view(by_head)).flatten(1)
        # what is left out may lie below the least, where logarithms are slow and NaN
        values = (tokens - self._least(tokens, kept) + self.eps).clamp(min=self.eps)
        # through logarithms no power overflows, and a weight too small for a float still counts
        terms = torch.add(logs[..., None], values.log().view(by_head), alpha=self.gamma)
        return (masked_logsumexp(terms.flatten(2), mask) / self.gamma).exp()

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Pool each segment, laid out as rows: a query a row would have to be gathered for every token."""
        return self.padded(*unpacked(x, offsets))

    def _log_weights(self, x: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N, H), the logarithms of the attention."""
        mean = x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        width = x.shape[-1] // self.heads
        queries = self.query(mean).view(x.shape[0], self.heads, width) * width**-0.5
        keys = torch.einsum("bhe,hed->bhd", queries, self.key.weight.view(self.heads, width, -1))
        scores = tokens @ keys.mT
        return scores - masked_logsumexp(scores, mask)[:, None]

    def _least(self, tokens: Tensor, kept: Tensor) -> Tensor:
        if not tokens.shape[1]:
            return tokens.new_zeros(())
        if self.min_scope == "example":
            tokens = tokens.amin(2, keepdim=True)
        # where nothing is kept any number will do
        return torch.where(kept | ~kept.any(1, keepdim=True), tokens, float("inf")).amin(1, keepdim=True)
