"""LatentQueries: learned queries read the tokens of the last layer, and their mean is the vector.

    U = cross-attention of Z over x        Z (r, D) learned, keys and values the kept tokens
    y = mean_r U_r / |mean_r U_r|

The released block of this "last-layer trainable pooling" hands its attention no mask, so that padding counts; here it
does not.

Tang & Yang, "Pooling And Attention: What Are Effective Designs For LLM-Based Embedding Models?" (2409.02727).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.kernels.segments import unpacked
from cenote.pool.base import Empty, Pooler
from cenote.pool.cross_attention import CrossAttention


class LatentQueries(Pooler):
    """(B, N, D) -> (B, D).

    latents: r, how many queries are learned; the paper has 768, with heads=32 and head_dim=2048, on a model of width
    4096. head_dim: by default dim / heads. normalize: give unit length. Raises ValueError for sizes below 1, and for
    heads that do not divide dim where head_dim is not given.
    """

    def __init__(
        self,
        dim: int,
        latents: int = 32,
        heads: int = 8,
        head_dim: int | None = None,
        ff_mult: int = 4,
        normalize: bool = True,
        *,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(empty=empty)
        if latents < 1:
            raise ValueError(f"latents must be at least 1, not {latents}")
        self.dim, self.latents, self.heads, self.head_dim = dim, latents, heads, head_dim
        self.ff_mult, self.normalize = ff_mult, normalize
        self.queries = nn.Parameter(torch.randn(latents, dim))
        self.block = CrossAttention(dim, heads, head_dim, ff_mult)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Read the kept tokens."""
        return self.read(x.masked_fill(~mask[:, :, None], 0), mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Read each segment, laid out as rows: every latent meets every token of its row in one product."""
        return self.read(*unpacked(x, offsets))

    def read(self, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (B, D): the mean of what the learned queries make of contexts (B, K, D)."""
        out: Tensor = self.block(self.queries[None], context, mask).mean(1)
        return F.normalize(out, dim=1) if self.normalize else out
