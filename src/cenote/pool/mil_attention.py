"""MILAttention: a mean in which a small network says how much each token, or each instance of a bag, counts.

    a_n = softmax_n( w . tanh(V x_n) )        y = sum_n a_n x_n

x (B, N, D), V (hidden, D), w (hidden,), y (B, D).

The attention pooling of Zhu, Wang, Chen, Wang, Sonka, Wu & Yang, "Provable multi-instance deep AUC maximization with
stochastic pooling" (2305.08040), whose loss is in `cenote.pool.midam`.
"""

from __future__ import annotations

from torch import Tensor, nn

from cenote.kernels.segments import masked_softmax, segment_softmax, segment_weighted_sum
from cenote.pool.base import Empty, Pooler


class MILAttention(Pooler):
    """(B, N, D) -> (B, D).

    dim: D. hidden: width of the network.
    """

    def __init__(self, dim: int, hidden: int = 128, *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.dim, self.hidden = dim, hidden
        self.inner, self.outer = nn.Linear(dim, hidden, bias=False), nn.Linear(hidden, 1, bias=False)

    def scores(self, x: Tensor) -> Tensor:
        """Return w . tanh(V x): (…, D) -> (…, 1), the logarithms of the weights up to a constant."""
        found: Tensor = self.outer(self.inner(x).tanh())
        return found

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return a (B, N), zero where the mask leaves a token out."""
        x = x.masked_fill(~mask[:, :, None], 0)
        return masked_softmax(self.scores(x)[:, :, 0], mask, 1)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum a x over the kept tokens."""
        x = x.masked_fill(~mask[:, :, None], 0)
        return (masked_softmax(self.scores(x), mask[:, :, None], 1).mT @ x)[:, 0]

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Sum a x over each segment."""
        return segment_weighted_sum(segment_softmax(self.scores(x), offsets).squeeze(-1), x, offsets)
