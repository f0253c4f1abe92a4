"""Exact products of int8 matrices."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


def integer_products(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return a (q, d) times b (n, d) transposed: int32 (q, n), exact."""
    import torch

    # torch 2.13 mistakes the strides of a transposed column and returns memory it never wrote
    if a.shape[1] > 1 and _torch_is_exact():
        left, right = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
        product: NDArray[np.int32] = torch._int_mm(left, right.T).numpy()
        return product
    # every partial sum is a whole number below 2^53
    return (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.int32)


@cache
def _torch_is_exact() -> bool:
    """Whether torch's int8 product, which is no public interface, is there and right: asked once, against numpy."""
    import torch

    generator = np.random.default_rng(0)
    a = generator.integers(-127, 128, (3, 200), dtype=np.int8)
    b = generator.integers(-127, 128, (70, 200), dtype=np.int8)
    try:
        got = torch._int_mm(torch.from_numpy(a), torch.from_numpy(b).T).numpy()
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool((got == a.astype(np.int64) @ b.astype(np.int64).T).all())
