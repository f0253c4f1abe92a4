"""A block of cross-attention: queries read a context, then pass a gated feed-forward layer; both steps add to them.

    U = softmax(q_h k_h^T / sqrt(d)) v_h W_O + Q        q = LN(Q) W_Q, [k, v] = LN(C) W_KV; no biases
    Y = U + (a * gelu(b)) W_2 + b_2                     [a, b] = LN(U) W_1 + b_1

Q (B, Q, D), C (B, K, D) -> (B, Q, D); H heads of width d, whose product need not be D.

Jaegle et al., "Perceiver: General Perception with Iterative Attention" (2103.03206).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class CrossAttention(nn.Module):
    """Queries (B, Q, D) read contexts (B, K, D); a batch of one serves every row.

    head_dim: width of a head, by default dim / heads. ff_mult: width of the feed-forward layer in dims. zero_init: what
    is added to the queries begins as zeros. Raises ValueError for sizes below 1, and for heads that do not divide dim
    where head_dim is not given.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int | None = None, ff_mult: int = 4, *, zero_init: bool = False
    ) -> None:
        super().__init__()
        if head_dim is None and (heads < 1 or dim % heads):
            raise ValueError(f"heads must divide dim: {dim} cannot be split among {heads}; or give head_dim")
        width = dim // heads if head_dim is None else head_dim
        for name, size in (("dim", dim), ("heads", heads), ("head_dim", width), ("ff_mult", ff_mult)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}")
        self.heads, self.width = heads, width
        self.norm, self.norm_context, self.norm_ff = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, heads * width, bias=False)
        self.to_kv = nn.Linear(dim, 2 * heads * width, bias=False)
        self.to_out = nn.Linear(heads * width, dim, bias=False)
        self.ff_in = nn.Linear(dim, 2 * ff_mult * dim)
        self.ff_out = nn.Linear(ff_mult * dim, dim)
        if zero_init:
            for weight in (self.to_out.weight, self.ff_out.weight, self.ff_out.bias):
                nn.init.zeros_(weight)

    def forward(self, queries: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read the context (B, K, D) that mask (B, K) keeps, all of it without one; it must be finite everywhere."""
        read = queries + self._attended(queries, context, mask)
        a, b = self.ff_in(self.norm_ff(read)).chunk(2, -1)
        out: Tensor = read + self.ff_out(a * F.gelu(b))
        return out

    def _attended(self, queries: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        rows = context.shape[0] if queries.shape[0] == 1 else queries.shape[0]
        q = self._heads(self.to_q(self.norm(queries)), rows)
        k, v = (self._heads(each, rows) for each in self.to_kv(self.norm_context(context)).chunk(2, -1))
        # a row that keeps nothing reads everything: not every kernel's softmax of nothing is zero
        allowed = None if mask is None else (mask | ~mask.any(1, keepdim=True))[:, None, None]
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        out: Tensor = self.to_out(read.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor, rows: int) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, self.width).transpose(1, 2).expand(rows, -1, -1, -1)
