"""Int8: one byte a dimension, with a scale a row or a dimension.

    row:  code_ij = round(x_ij / s_i),  s_i = max_j |x_ij| / 127           stored with the row: 4 bytes
    dim:  code_ij = round(x_ij / s_j),  s_j = max_i |x_ij| / 127           learnt once from documents, then clamped

Queries become int8 with a scale of their own, so that a score is one integer product: the same bits for any batch,
any number of threads and any cut into segments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32
from cenote.compress.base import Codec, Codes, checked
from cenote.kernels.integers import integer_products

if TYPE_CHECKING:
    from cenote.kernels.scan import Queries


class Int8(Codec):
    """codes: int8 (n, d); scale: float32 (n,) with per="row"."""

    def __init__(self, per: Literal["row", "dim"] = "row") -> None:
        if per not in ("row", "dim"):
            raise ValueError(f"per must be row or dim, not {per!r}")
        self.per = per
        self.scales: NDArray[np.float32] | None = None

    @property
    def needs_fit(self) -> bool:  # type: ignore[override]
        """Whether the scales are learnt."""
        return self.per == "dim"

    def fit(self, x: Float32, seed: int = 0) -> None:
        """Learn a scale a dimension from x (n, d). A constant zero column gets scale 0."""
        if self.per == "dim":
            self.scales = (np.abs(checked(x)).max(axis=0, initial=0.0) / 127).astype(np.float32)

    def encode(self, x: Float32) -> Codes:
        """Round x (n, d) to nearest even."""
        x = checked(x)
        if self.per == "row":
            codes, scale = _by_row(x)
            return {"codes": codes, "scale": scale}
        return {"codes": _divided(x, self._learnt(x.shape[1])[None, :])}

    def decode(self, codes: Codes, dim: int) -> Float32:
        """Multiply the scales back in."""
        scales = codes["scale"][:, None] if self.per == "row" else self._learnt(dim)[None, :]
        return codes["codes"].astype(np.float32) * scales

    def nbytes(self, n: int, dim: int) -> int:
        """n d, and 4 n for the scales of rows."""
        return n * dim + (4 * n if self.per == "row" else 0)

    def scorer(self, queries: Float32, dim: int) -> Callable[[Codes], Float32]:
        """Return block of codes -> scores float32 (q, rows), by integer products."""
        codes, scale = self._encoded(queries, dim)

        def score(block: Codes) -> Float32:
            scores = integer_products(codes, block["codes"]).astype(np.float32)
            if self.per == "row":
                scores *= block["scale"][None, :]
            scores *= scale[:, None]
            return scores

        return score

    def kernel(self, queries: Float32, dim: int) -> Queries:
        """Return the queries as int8, each with its scale."""
        from cenote.kernels import forms
        from cenote.kernels.scan import Queries

        return Queries(forms.INT8, *self._encoded(queries, dim))

    def _encoded(self, queries: Float32, dim: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        return _by_row(queries if self.per == "row" else queries * self._learnt(dim)[None, :])

    def _learnt(self, dim: int) -> NDArray[np.float32]:
        if self.scales is None:
            raise ValueError("int8 per=dim is used before it is fitted")
        if len(self.scales) != dim:
            raise ValueError(f"x has {dim} dimensions where {len(self.scales)} are expected")
        return self.scales

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the learnt scales (d,)."""
        return {} if self.scales is None else {"scales": self.scales}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back the learnt scales."""
        if "scales" in state:
            self.scales = state["scales"]


def _by_row(x: Float32) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    scale = (np.abs(x).max(axis=1, initial=0.0) / 127).astype(np.float32)
    return _divided(x, scale[:, None]), scale


def _divided(x: Float32, scale: NDArray[np.float32]) -> NDArray[np.int8]:
    # a subnormal scale would overflow the quotient; such a row or column is zero for every purpose
    safe = np.where(scale > np.finfo(np.float32).tiny, scale, np.inf)
    with np.errstate(over="ignore"):  # infinity is clamped like anything beyond a learnt scale
        # in place: what is encoded at once may be a large share of the memory there is
        quotient = x / safe
        np.rint(quotient, out=quotient)
        return np.clip(quotient, -127, 127, out=quotient).astype(np.int8)
