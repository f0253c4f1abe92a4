"""Rotary positions in one pass over a packed matrix, in place.

    (a, b) -> (a cos - b sin, b cos + a sin)      a, b the halves of a head; the angle is that of the token's place

Su et al., "RoFormer" (2104.09864), with halves in place of neighbours, as the models' code has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cenote.arrays import Float32, Int64
from cenote.kernels.compiled import compiled_sums


def rotate(x: NDArray[Any], places: Int64, cos: Float32, sin: Float32, heads: int) -> None:
    """Turn the first `heads` heads of x (M, W), float32, or uint16 that hold bf16; cos, sin (P, d / 2); places (M,)."""
    (_halves if x.dtype == np.uint16 else _floats)(x, places, cos, sin, heads)


@compiled_sums
def _floats(x: Float32, places: Int64, cos: Float32, sin: Float32, heads: int) -> None:
    half = cos.shape[1]
    for i in range(len(x)):
        c, s = cos[places[i]], sin[places[i]]
        for head in range(heads):
            a, b = x[i, 2 * head * half : (2 * head + 1) * half], x[i, (2 * head + 1) * half : (2 * head + 2) * half]
            for j in range(half):
                a[j], b[j] = a[j] * c[j] - b[j] * s[j], b[j] * c[j] + a[j] * s[j]


@compiled_sums
def _halves(x: NDArray[np.uint16], places: Int64, cos: Float32, sin: Float32, heads: int) -> None:
    half = cos.shape[1]
    for i in range(len(x)):
        c, s = cos[places[i]], sin[places[i]]
        for head in range(heads):
            a, b = x[i, 2 * head * half : (2 * head + 1) * half], x[i, (2 * head + 1) * half : (2 * head + 2) * half]
            for j in range(half):
                p, q = np.uint32(a[j] << 16).view(np.float32), np.uint32(b[j] << 16).view(np.float32)
                first = np.float32(p * c[j] - q * s[j]).view(np.uint32)
                second = np.float32(q * c[j] + p * s[j]).view(np.uint32)
                # to the nearest, halfway cases to the even one
                a[j] = np.uint16((first + 0x7FFF + ((first >> 16) & 1)) >> 16)
                b[j] = np.uint16((second + 0x7FFF + ((second >> 16) & 1)) >> 16)
