"""Attention with a memory: every head has keys and values of its own beside those of the tokens.

    y = softmax( q [k; k_memory]^T / sqrt(d) ) [v; v_memory]        head by head, and a linear map of all heads

x (B, N, D), k_memory and v_memory (H, M, d), D = H d. The memory is the same for all rows and never masked; it stands
for what a feed-forward layer would know.

Sukhbaatar, Grave, Lample, Jegou & Joulin, "Augmenting self-attention with persistent memory" (1907.01470), as the
layers of speaker verification use it (2111.03842).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MemoryAttention(nn.Module):
    """(B, N, D) -> (B, N, D); memory=0 is multi-head attention as usual."""

    def __init__(self, dim: int, heads: int, *, memory: int = 0) -> None:
        """Raise ValueError for heads that do not share dim evenly, or a memory below 0."""
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"heads must divide dim={dim}, which {heads} does not")
        if memory < 0:
            raise ValueError(f"memory must not be below 0, not {memory}")
        self.heads = heads
        self.queries_keys_values, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        width = dim // heads
        # of the size that a key of a normed token has, and small beside a value
        self.memory_keys = nn.Parameter(torch.randn(heads, memory, width) * width**-0.5)
        self.memory_values = nn.Parameter(torch.randn(heads, memory, width) * max(memory, 1) ** -0.5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend to the tokens that mask (B, N; True keeps) keeps and to the memory.

        What the mask leaves out must be finite: it is asked for too, and its answer means nothing.
        """
        rows, tokens, dim = x.shape
        split = self.queries_keys_values(x).view(rows, tokens, 3, self.heads, dim // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        keys, values = (
            torch.cat([each, memory.to(x.dtype).expand(rows, -1, -1, -1)], 2)
            for each, memory in ((keys, self.memory_keys), (values, self.memory_values))
        )
        seen = torch.cat([mask, mask.new_ones(rows, self.memory_keys.shape[1])], 1)[:, None, None]
        attended = nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
        mixed: Tensor = self.output(attended.transpose(1, 2).reshape(rows, tokens, dim))
        return mixed
