"""ClsAttend: the first token attends once more to all tokens of the last layer.

    y = MultiHead(q = x_0, K = V = x)        x_0 the first kept token, [CLS]; it is among the keys

Behrendt, Wagner & Harmeling, "MaxPoolBERT: Enhancing BERT Classification via Layer- and Token-Wise Aggregation"
(2505.15696).
"""

from __future__ import annotations

from torch import Tensor

from cenote.kernels.segments import first_kept, unpacked
from cenote.pool.base import Empty, Pooler
from cenote.pool.single_query import SingleQuery


class ClsAttend(Pooler):
    """(B, N, D) -> (B, D).

    dropout: share of the attention weights that training leaves out. Raises ValueError for heads that do not divide
    dim.
    """

    order = "ordered"

    def __init__(self, dim: int, heads: int = 4, dropout: float = 0.0, *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        self.dim, self.heads, self.dropout = dim, heads, dropout
        self.attention = SingleQuery(dim, heads, dropout=dropout)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend from the first kept token to the kept ones."""
        out: Tensor = self.attention(first_kept(x, mask), x.masked_fill(~mask[:, :, None], 0), mask)
        return out

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Attend within each segment, laid out as rows: gathering a key a token and head costs several times more."""
        return ClsAttend.padded(self, *unpacked(x, offsets))

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, H, N): the attention of each head."""
        return self.attention.weights(first_kept(x, mask), x.masked_fill(~mask[:, :, None], 0), mask)
