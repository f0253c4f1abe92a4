"""AdaPool: one cross-attention whose query is taken from the tokens themselves, so that it adapts to each row.

    q = 1/n sum_n x_n, or x_i, or the mean of several x_i        (B, D)
    y = q + MultiHead(q, K = V = x)                              (B, D)

A query that lies with the signal keeps the noise out whatever its share; one learned for all rows cannot adapt, and one
that is itself noise finds noise. The released code's way around flash attention divides by sqrt(D) and puts heads back
in the wrong order; this follows its flash way, sqrt(D/H).

Brothers, "Robust Noise Attenuation via Adaptive Pooling of Transformer Outputs" (2506.09215).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cenote.kernels.segments import unpacked
from cenote.pool.base import Empty, Pooler
from cenote.pool.single_query import SingleQuery

Query = Literal["mean", "first", "learned"] | int | Sequence[int]


class AdaPool(Pooler):
    """(B, N, D) -> (B, D).

    query: "mean" of the kept tokens; "first" of them; the i-th, from the end where i is negative; the mean of several
    by their places; or "learned", one for all rows as a class token is. residual: add the query to what it finds; the
    release does so for one token alone. bias: of the projections.

    Raises ValueError for heads that do not divide dim, a query that is none of these, and places a row does not have.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 4,
        query: Query = "mean",
        residual: bool = True,
        dropout: float = 0.0,
        bias: bool = False,
        *,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(empty=empty)
        self.dim, self.heads, self.residual, self.dropout, self.bias = dim, heads, residual, dropout, bias
        self.query = query if isinstance(query, str | int) else list(query)
        self.places = _places(query)
        self.order = "ordered" if self.places else "invariant"
        self.attention = SingleQuery(dim, heads, dropout=dropout, bias=bias)
        if query == "learned":
            self.learned = nn.Parameter(torch.randn(dim) * 0.02)  # where class tokens of vision transformers begin

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend from the query to the kept tokens."""
        kept = x.masked_fill(~mask[:, :, None], 0)
        query = self._query(kept, mask)
        out: Tensor = self.attention(query, kept, mask)
        return query + out if self.residual else out

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Attend within each segment, laid out as rows: gathering a key a token and head costs several times more."""
        return self.padded(*unpacked(x, offsets))

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, H, N): the attention of each head."""
        kept = x.masked_fill(~mask[:, :, None], 0)
        return self.attention.weights(self._query(kept, mask), kept, mask)

    def _query(self, kept: Tensor, mask: Tensor) -> Tensor:
        if self.query == "learned":
            return self.learned.expand(kept.shape[0], -1)
        count = mask.sum(1, keepdim=True)
        if not self.places:
            return kept.sum(1) / count.clamp(min=1).to(kept.dtype)
        asked = torch.tensor(self.places, device=mask.device)
        place = torch.where(asked < 0, asked + count, asked)
        _check_places(place, count, self.query)
        # what the mask leaves out has the place of the token before it, and is zero
        found = (mask.cumsum(1) - 1)[:, None] == place[:, :, None]
        return torch.einsum("bkn,bnd->bd", found.to(kept.dtype), kept) / len(self.places)


def _places(query: Query) -> list[int]:
    """Return the places among the kept tokens that a query names, none for the mean and the learned one."""
    if isinstance(query, str):
        if query not in ("mean", "first", "learned"):
            raise ValueError(f"query must be mean, first, learned, a place or several places, not {query!r}")
        return [0] if query == "first" else []
    places = [query] if isinstance(query, int) else list(query)
    if not places or any(isinstance(place, bool) or not isinstance(place, int) for place in places):
        raise ValueError(f"query must be mean, first, learned, a place or several places, not {query!r}")
    return places


def _check_places(place: Tensor, count: Tensor, query: str | int | list[int]) -> None:
    if torch.compiler.is_compiling():
        return
    outside = ((place < 0) | (place >= count)).any(1) & (count[:, 0] > 0)
    if bool(outside.any()):
        rows = torch.nonzero(outside).flatten().tolist()
        raise ValueError(f"query={query!r} names a token that rows {rows} do not have; their mask keeps too few")
