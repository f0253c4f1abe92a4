"""Attention of one query a row: the projections of keys and values fold into the query and the sum.

    k_h = W_K,h^T (W_Q,h q + b_Q,h)                      (B, H, D)   a key's bias moves all scores alike
    a_h = softmax_n(k_h . x_n / sqrt(D/H))               (B, H, N)   over the tokens that the mask keeps
    y = concat_h(W_V,h sum_n a_hn x_n + b_V,h) W_O + b_O   (B, D)

This is multi-head attention (Vaswani et al., 1706.03762) at O(H N D + D^2) instead of O(N D^2); the weights bear the
names of torch.nn.MultiheadAttention, whose state dict loads as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.kernels.segments import masked_softmax


class SingleQuery(nn.Module):
    """Query (B, D) over tokens (B, N, D) -> (B, D).

    dropout: share of the attention weights that training leaves out. Raises ValueError for heads that do not divide
    dim, or a dropout that is no share.
    """

    def __init__(self, dim: int, heads: int, *, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"heads must divide dim: {dim} cannot be split among {heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {dropout}")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim)) if bias else None
        self.out_proj = nn.Linear(dim, dim, bias=bias)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            nn.init.zeros_(self.out_proj.bias)

    def weights(self, query: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, H, N), zero where the mask leaves a token out; x there must be finite."""
        to_query, to_key, _ = self.in_proj_weight.chunk(3)
        bias = None if self.in_proj_bias is None else self.in_proj_bias.chunk(3)[0]
        head = to_key.view(self.heads, -1, to_key.shape[1])
        queries = F.linear(query, to_query, bias).view(query.shape[0], *head.shape[:2]) * head.shape[1] ** -0.5
        keys = torch.einsum("bhe,hed->bhd", queries, head)
        return masked_softmax(keys @ x.mT, mask[:, None], -1)

    def forward(self, query: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Attend from query (B, D) to the tokens that mask keeps; x must be finite everywhere."""
        weights: Tensor = self.dropout(self.weights(query, x, mask))
        to_value = self.in_proj_weight.chunk(3)[2]
        values = torch.einsum("bhd,hed->bhe", weights @ x, to_value.view(self.heads, -1, to_value.shape[1]))
        if self.in_proj_bias is not None:
            values = values + self.in_proj_bias.chunk(3)[2].view(self.heads, -1) * weights.sum(-1, keepdim=True)
        out: Tensor = self.out_proj(values.flatten(1))
        return out
