"""Float8: one byte a dimension, in floating point.

    code = round_to_nearest_even(x · s)        s a power of two, exact to undo

"Optimization of embeddings storage for RAG systems using quantization and dimensionality reduction" (2505.00105).
e4m3 has 3 bits of mantissa and reaches ±448, e5m2 has 2 and reaches ±57344. The entries of unit vectors are small, and
e4m3 loses bits below 2^-6, so they are scaled up first. Trap: casting beyond the range saturates in some versions of
torch and gives NaN in others, so values are checked or clamped before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32
from cenote.compress.base import Codec, Codes, checked
from cenote.kernels import few

if TYPE_CHECKING:
    from cenote.kernels.scan import Queries

Format = Literal["e4m3", "e5m2"]
GREATEST = {"e4m3": 448.0, "e5m2": 57344.0}
_LESS = {"e4m3": 256.0, "e5m2": 1.0}
"""How many times smaller than what codes stand for the numbers are that kernels widen them to."""


class Float8(Codec):
    """codes: uint8 (n, d).

    scale: "unit" for entries within ±1, as unit vectors have (no fitting; anything that would not fit is refused);
    "fitted" learns the power of two from documents and clamps what lies beyond (counted in `clamped`); "none" is 1.
    """

    def __init__(self, format: Format = "e4m3", scale: Literal["unit", "fitted", "none"] = "unit") -> None:
        if format not in GREATEST:
            raise ValueError(f"format must be e4m3 or e5m2, not {format!r}")
        if scale not in ("unit", "fitted", "none"):
            raise ValueError(f"scale must be unit, fitted or none, not {scale!r}")
        self.format, self.scale = format, scale
        self.clamped = 0
        self.factor: float | None = None if scale == "fitted" else _power(1.0 if scale == "unit" else None, format)

    @property
    def needs_fit(self) -> bool:  # type: ignore[override]
        """Whether the scale is learnt."""
        return self.scale == "fitted"

    def fit(self, x: Float32, seed: int = 0) -> None:
        """Learn the greatest power of two that keeps every entry of x (n, d) in range."""
        if self.scale == "fitted":
            self.factor = _power(float(np.abs(checked(x)).max(initial=0.0)), self.format)

    def encode(self, x: Float32) -> Codes:
        """Round x (n, d). Raises ValueError for entries beyond the range unless the scale was fitted."""
        import torch

        with np.errstate(over="ignore"):  # infinity is beyond the range as well
            scaled = checked(x) * np.float32(self._factor)
        greatest = GREATEST[self.format]
        beyond = int((np.abs(scaled) > greatest).sum())
        if beyond and self.scale != "fitted":
            limit = greatest / self._factor
            reason = f"an entry of {float(np.abs(x).max()):g} lies beyond the ±{limit:g} that float8 holds"
            raise ValueError(f"{reason} at scale={self.scale}; write `float8 scale=fitted`")
        self.clamped += beyond
        clamped = torch.from_numpy(np.clip(scaled, -greatest, greatest))
        return {"codes": clamped.to(_torch_type(self.format)).view(torch.uint8).numpy()}

    def decode(self, codes: Codes, dim: int) -> Float32:
        """Look every code up; exact."""
        return (_values(self.format) / np.float32(self._factor))[codes["codes"]]

    def kernel(self, queries: Float32, dim: int) -> Queries:
        """Return the queries as they are; the scale is undone in the score."""
        from cenote.kernels import forms
        from cenote.kernels.scan import Queries

        form = forms.E4M3 if self.format == "e4m3" else forms.E5M2
        return Queries(form, queries, np.full(len(queries), _LESS[self.format] / self._factor, np.float32))

    def few(self, queries: Float32, dim: int) -> Callable[[Codes], Float32]:
        """Return block of codes -> scores (q, rows); the scale is undone in the score, as the kernel does."""
        less = _LESS[self.format]
        table = _values(self.format) / np.float32(less)
        return few.scorer(queries, lambda block: table[block["codes"]], less / self._factor)

    def nbytes(self, n: int, dim: int) -> int:
        """n d."""
        return n * dim

    @property
    def _factor(self) -> float:
        if self.factor is None:
            raise ValueError("float8 scale=fitted is used before it is fitted")
        return self.factor

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the learnt factor."""
        return {} if self.scale != "fitted" or self.factor is None else {"factor": np.array([self.factor], np.float64)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back the learnt factor."""
        if "factor" in state:
            self.factor = float(state["factor"][0])


def _power(greatest: float | None, format: Format) -> float:
    """Return the greatest power of two of float32 that keeps `greatest` in range; 1 for None and for zeros."""
    return 1.0 if not greatest else 2.0 ** min(127, math.floor(math.log2(GREATEST[format] / greatest)))


def _torch_type(format: Format) -> Any:
    import torch

    return {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}[format]


@cache
def _values(format: Format) -> NDArray[np.float32]:
    """Return the number that each of the 256 codes stands for."""
    import torch

    return torch.arange(256, dtype=torch.uint8).view(_torch_type(format)).to(torch.float32).numpy()
