"""Poolers that sum what each token alone is mapped to, so that a union of sets is a sum of vectors.

    y = sum_n phi(x_n)        phi: R^D -> R^L

A subclass is its phi. It is computed in float64, because what tells two sets apart may be a small difference of large
sums.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod

import torch
from torch import Tensor

from cenote.kernels.segments import segment_sum
from cenote.pool.base import Empty, Pooler


class ElementSum(Pooler):
    """(B, N, D) -> (B, L).

    `fit` tells it the range of the tokens, which is mapped to [-1, 1] before phi; unfitted, x is taken as it is.
    """

    scaling = "sum"
    middle: Tensor
    reach: Tensor
    fitted: Tensor

    def __init__(self, dim: int, *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.dim = dim
        self.register_buffer("middle", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("reach", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(False))

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Return phi(x): float64 (…, D) in [-1, 1] -> (…, L)."""

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Map the range of x (…, D), channel by channel, to [-1, 1] from now on; a constant channel to 0.

        Raises ValueError for x that is empty, of another width, or not finite.
        """
        if not x.numel() or x.shape[-1] != self.dim:
            raise ValueError(f"x must hold tokens of width {self.dim}, at least one, not {tuple(x.shape)}")
        if not bool(x.isfinite().all()):
            raise ValueError("x holds values that are not finite; fit on the kept tokens only")
        least, greatest = x.reshape(-1, self.dim).double().aminmax(dim=0)
        self.middle.copy_((least + greatest) / 2)
        self.reach.copy_(torch.where(greatest > least, (greatest - least) / 2, 1))
        self.fitted.fill_(True)

    def _scaled(self, x: Tensor) -> Tensor:
        scaled = (x.double() - self.middle.double()) / self.reach.double()
        # 1e-6: the buffers may have been through fp32
        if not torch.compiler.is_compiling() and self.fitted and bool((scaled.abs() > 1 + 1e-6).any()):
            kind = type(self).__name__
            warnings.warn(f"{kind} got tokens outside the range it was fitted to; fit it on all the data", stacklevel=2)
        return scaled

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum phi over the kept tokens."""
        kept = mask[:, :, None]
        inside = self._scaled(torch.where(kept, x, self.middle.to(x.dtype)))
        return self.embed(inside).masked_fill(~kept, 0).sum(1).to(x.dtype)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Sum phi over each segment."""
        return segment_sum(self.embed(self._scaled(x)), offsets).to(x.dtype)
