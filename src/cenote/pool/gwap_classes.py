"""Class-specific GWAP: a logit for each class, averaged with weights of its own.

    y_c = sum_n w_nc z_nc / sum_n w_nc        w_nc = act(v_c x_n + b_c)        z_nc = u_c x_n + a_c

Qiu, "Global weighted average pooling bridges pixel-level localization and image-level classification" (1809.08264), the
class-specific module. With the same weights for all classes it is the class-agnostic module before a linear classifier.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.kernels.segments import masked_softmax, segment_softmax, segment_sum
from cenote.pool.base import Empty, Pooler
from cenote.pool.gwap import Activation, check_activation, log_weight, scorer


class GWAPClasses(Pooler):
    """(B, N, D) -> logits (B, classes).

    dim: D. classes: C. act, hidden: as in `GWAP`.

    Raises ValueError for fewer than one class, and what `GWAP` raises.
    """

    def __init__(
        self,
        dim: int,
        classes: int,
        *,
        act: Activation = "sigmoid",
        hidden: int | None = None,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(empty=empty)
        if classes < 1:
            raise ValueError(f"classes must be at least 1, not {classes}")
        self.dim, self.classes, self.act, self.hidden = dim, classes, check_activation(act), hidden
        self.score = scorer(dim, classes, hidden)
        self.classify = nn.Linear(dim, classes)

    def out_dim(self, dim: int) -> int:
        """Return the number of classes."""
        return self.classes

    def objectness(self, x: Tensor) -> Tensor:
        """Return w (…, C) of tokens x (…, D), not divided by their sum: a map a class for x (B, H, W, D)."""
        return log_weight(self.score(x), self.act).exp()

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, C, N): the weights of each class over their sum."""
        kept = mask[:, :, None]
        return masked_softmax(log_weight(self.score(x.masked_fill(~kept, 0)), self.act), kept, 1).transpose(1, 2)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the logits, averaged over the kept tokens."""
        x = x.masked_fill(~mask[:, :, None], 0)
        return torch.einsum("bcn,bnc->bc", self.weights(x, mask), self.classify(x))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the logits, averaged over each segment."""
        weights = segment_softmax(log_weight(self.score(x), self.act), offsets)
        return segment_sum(weights * self.classify(x), offsets)
