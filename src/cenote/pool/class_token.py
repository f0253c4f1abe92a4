"""Class token: a learned vector goes through self-attention before the tokens, and what comes out of it is the answer.

    z = [c; x]        z <- z + MHA(norm z; norm z and a memory), layer by layer        y = norm(z)_0

x (B, N, D), c (D,). With several candidates (R, D) one is drawn for each row while training, which makes the others'
answers alike, and their mean stands at inference. Behind an encoder that knows positions, y knows the order.

Mingote, Miguel, Ortega & Lleida, "Class token and knowledge distillation for multi-head self-attention speaker
verification systems" (2111.03842).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.kernels.segments import unpacked
from cenote.pool.base import Empty, Pooler
from cenote.pool.memory_attention import MemoryAttention

_SPREAD = 0.02
"""Standard deviation of a token at the start, as in BERT and ViT."""


class ClassToken(nn.Module):
    """Stands before the tokens of any encoder: `attach` its input, `read` its output.

    dim: D. candidates: R. window: the positions the encoder has, if it has so many and no more.
    """

    def __init__(self, dim: int, candidates: int = 1, *, window: int | None = None) -> None:
        """Raise ValueError for fewer than one candidate."""
        super().__init__()
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1, not {candidates}")
        self.window = window
        self.token = nn.Parameter(_SPREAD * torch.randn(candidates, dim))

    def attach(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (B, N + 1, D) with the token in front, and the mask that keeps it.

        Raises ValueError where the encoder has no position left for it.
        """
        if self.window is not None and x.shape[1] >= self.window:
            raise ValueError(
                f"{x.shape[1]} tokens and the class token exceed the {self.window} positions of the encoder"
            )
        if self.training and len(self.token) > 1:
            token = self.token[torch.randint(len(self.token), (x.shape[0],), device=x.device)]
        else:
            token = self.token.mean(0).expand(x.shape[0], -1)
        return torch.cat([token[:, None].to(x.dtype), x], 1), torch.cat([mask.new_ones(x.shape[0], 1), mask], 1)

    def read(self, x: Tensor) -> Tensor:
        """Return what became of the token: (B, N + 1, D) -> (B, D)."""
        return x[:, 0]


class ClassTokenPool(Pooler):
    """(B, N, D) -> (B, D): the token with layers of attention of its own.

    dim: D. layers, heads: of the attention. memory: keys and values that each layer has learned. candidates: R.
    """

    scaling = "none"

    def __init__(
        self,
        dim: int,
        layers: int = 1,
        heads: int = 4,
        *,
        memory: int = 16,
        candidates: int = 1,
        empty: Empty = "zero",
    ) -> None:
        """Raise ValueError for fewer than one layer or candidate; `MemoryAttention` says what else."""
        super().__init__(empty=empty)
        if layers < 1:
            raise ValueError(f"layers must be at least 1, not {layers}; without one the token sees nothing")
        self.dim, self.layers, self.heads, self.memory, self.candidates = dim, layers, heads, memory, candidates
        self.token = ClassToken(dim, candidates)
        self.attentions = nn.ModuleList(MemoryAttention(dim, heads, memory=memory) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers + 1))

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return what became of the token."""
        x, mask = self.token.attach(x.masked_fill(~mask[:, :, None], 0), mask)
        for norm, attention in zip(self.norms, self.attentions, strict=False):
            seen = norm(x)
            x = x + attention(seen, mask)
        answer: Tensor = self.norms[-1](self.token.read(x))
        return answer

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the same: every token attends to every other of its row, which is dense work."""
        return self.padded(*unpacked(x, offsets))
