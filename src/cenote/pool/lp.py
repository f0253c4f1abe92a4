"""LP: sums of the powers of linear maps, which tell any two sets of at most N tokens apart once there are enough maps.

    phi(x) = [ (w_k . x)^j : k = 1..K, j = 1..N ]        y = sum_n phi(x_n)

The sums of the powers 1..N of N numbers determine them. The w_k are the D axes, anchors a_c in general position, of
which one gives any two different tokens different numbers, and couplings e_i - g a_c, which say which coordinate
belongs to which anchor's number.

Wang, Yang, Li, Wang & Li, "Polynomial width is sufficient for set representation with high-dimensional features"
(2307.04001).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cenote.pool.base import Empty
from cenote.pool.element_sum import ElementSum

_MOST = 2**24
"""Values in a vector, 64 MiB in fp32: what one would still compute on."""


class LP(ElementSum):
    """(B, N, D) -> (B, K·max_size).

    dim: D. max_size: N, the tokens of the largest set. anchors: "full" for the construction that is proved to tell all
    sets apart, K = D + C + D C (N (N - 1) + 1) with C = N (N - 1) (D - 1) / 2 + 1; or a number of Gaussian directions
    and no others: small, and without that proof (`guaranteed` is False), so that larger sets are taken too.
    """

    directions: Tensor

    def __init__(
        self, dim: int, max_size: int, anchors: int | Literal["full"] = 16, *, seed: int = 0, empty: Empty = "zero"
    ) -> None:
        """Raise ValueError for sizes below 1, other anchors, and a vector of more than 16,777,216 values."""
        super().__init__(dim, empty=empty)
        if isinstance(anchors, str) and anchors != "full":
            raise ValueError(f"anchors must be full or a number, not {anchors!r}")
        if dim < 1 or max_size < 1 or (anchors != "full" and anchors < 1):
            raise ValueError(f"dim, max_size and anchors must be at least 1, not {dim}, {max_size} and {anchors}")
        self.max_size, self.anchors, self.seed = max_size, anchors, seed
        self.guaranteed = anchors == "full"
        count = full_directions(max_size, dim) if anchors == "full" else anchors
        if count * max_size > _MOST:
            hint = "pass a number of anchors, or reduce the tokens to fewer dimensions first"
            raise ValueError(f"{count} directions to the power {max_size} are {count * max_size} values; {hint}")
        generator = torch.Generator().manual_seed(seed)
        drawn = full_anchors(max_size, dim) if anchors == "full" else anchors
        anchor = torch.randn(drawn, dim, generator=generator, dtype=torch.float64)
        directions = _coupled(anchor, max_size) if anchors == "full" else anchor
        # |w.x| <= 1 on [-1, 1]^D: powers of larger numbers would drown the smaller ones
        self.register_buffer("directions", directions / directions.abs().sum(1, keepdim=True))

    def out_dim(self, dim: int) -> int:
        """Return K·max_size."""
        return len(self.directions) * self.max_size

    def embed(self, x: Tensor) -> Tensor:
        """Return the powers 1..N of w.x, those of one direction side by side."""
        numbers = x @ self.directions.double().T
        powers = [numbers]
        for _ in range(1, self.max_size):
            powers.append(powers[-1] * numbers)
        return torch.stack(powers, -1).flatten(-2)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sum the powers over the kept tokens.

        Raises ValueError for a set larger than max_size where the vectors are promised to tell sets apart.
        """
        self._check_sizes(mask.sum(1))
        return super().padded(x, mask)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Sum the powers over each segment; see `padded` for what is refused."""
        self._check_sizes(offsets.diff())
        return super().packed(x, offsets)

    def _check_sizes(self, sizes: Tensor) -> None:
        if not self.guaranteed or torch.compiler.is_compiling() or not len(sizes):
            return
        if (largest := int(sizes.max())) > self.max_size:
            reason = f"sets of {largest} tokens are not told apart by max_size={self.max_size}"
            raise ValueError(f"{reason}; make the pooler for the largest set, or pass a number of anchors")


def full_anchors(size: int, dim: int) -> int:
    """Return how many anchors in general position contain one that separates any two sets of `size` tokens."""
    return size * (size - 1) * (dim - 1) // 2 + 1


def full_directions(size: int, dim: int) -> int:
    """Return K of the whole construction."""
    anchors = full_anchors(size, dim)
    return dim + anchors + dim * anchors * (size * (size - 1) + 1)


def width_bounds(size: int, dim: int) -> dict[str, int]:
    """Return the orders of the width that sets of `size` tokens of width `dim` need (lp_lower) and need at most.

    Raises ValueError for sizes below 1.
    """
    if size < 1 or dim < 1:
        raise ValueError(f"size and dim must be at least 1, not {size} and {dim}")
    return {"lp_lower": size * (dim + 1), "lp_upper": size**5 * dim**2, "le_upper": size**4 * dim**2}


def power_sums_decode(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the n numbers, ascending, whose sums of powers 1..n are `sums` (n,): what the sums hold, made visible.

    Newton's identities give the polynomial that has the numbers as its roots.

    Raises ValueError for sums of another shape.
    """
    if sums.ndim != 1:
        raise ValueError(f"sums must have shape (numbers,), not {sums.shape}")
    elementary = [1.0]
    for k in range(1, len(sums) + 1):
        terms = [(-1) ** (i - 1) * elementary[k - i] * sums[i - 1] for i in range(1, k + 1)]
        elementary.append(sum(terms) / k)
    signs = (-1.0) ** np.arange(len(elementary))
    found: NDArray[np.float64] = np.sort(np.roots(signs * elementary).real)
    return found


def _coupled(anchors: Tensor, size: int) -> Tensor:
    dim = anchors.shape[1]
    axes = torch.eye(dim, dtype=anchors.dtype)
    count = size * (size - 1) + 1
    distinct = torch.arange(1, count + 1, dtype=anchors.dtype) / count  # without 0, which would be the axis again
    couplings = axes[:, None, None] - distinct[:, None] * anchors[None, :, None]
    return torch.cat([axes, anchors, couplings.flatten(0, 2)])
