"""Sum and norm in one pass, which torch takes two for.

    y = (h - mean(h)) / sqrt(var(h) + eps) * w + b,   h = x + r      every row by itself, computed in fp32

Ba, Kiros & Hinton, "Layer Normalization" (1607.06450).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32
from cenote.kernels.compiled import compiled_sums


def add_norm(x: NDArray[Any], r: NDArray[Any], weight: Float32, bias: Float32, eps: float, out: NDArray[Any]) -> None:
    """Write the norm of x + r (M, D) to `out`: all float32, or all uint16 that hold bf16. weight, bias float32 (D,)."""
    (_halves if x.dtype == np.uint16 else _floats)(x, r, weight, bias, np.float32(eps), out)


@compiled_sums
def _floats(x: Float32, r: Float32, weight: Float32, bias: Float32, eps: np.float32, out: Float32) -> None:
    width = x.shape[1]
    h = np.empty(width, np.float32)
    for i in range(len(x)):
        for j in range(width):
            h[j] = x[i, j] + r[i, j]
        mean, share = _moments(h, eps)
        for j in range(width):
            out[i, j] = (h[j] - mean) * share * weight[j] + bias[j]


@compiled_sums
def _halves(
    x: NDArray[np.uint16],
    r: NDArray[np.uint16],
    weight: Float32,
    bias: Float32,
    eps: np.float32,
    out: NDArray[np.uint16],
) -> None:
    width = x.shape[1]
    h = np.empty(width, np.float32)
    for i in range(len(x)):
        for j in range(width):
            h[j] = np.uint32(x[i, j] << 16).view(np.float32) + np.uint32(r[i, j] << 16).view(np.float32)
        mean, share = _moments(h, eps)
        for j in range(width):
            bits = np.float32((h[j] - mean) * share * weight[j] + bias[j]).view(np.uint32)
            # to the nearest, halfway cases to the even one
            out[i, j] = np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


@compiled_sums
def _moments(h: Float32, eps: np.float32) -> tuple[np.float32, np.float32]:
    """Return the mean and 1 / the standard deviation."""
    total = np.float32(0)
    for j in range(len(h)):
        total += h[j]
    mean = total / np.float32(len(h))
    squares = np.float32(0)
    for j in range(len(h)):
        squares += (h[j] - mean) ** 2
    return mean, np.float32(1) / np.sqrt(squares / np.float32(len(h)) + eps)
