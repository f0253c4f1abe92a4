"""The k-nearest-neighbours centroid task: sets whose answer is the mean of the k vectors nearest to the first.

    y = 1/k sum_{n in nearest_k(x_0)} x_n        the first vector is no neighbour of its own

k over the size of the set is the share of signal, from one vector to all others: mean pooling is right at one end, and
no fixed pooling in between. Features are normal, uniform or exponential in a third of the channels each, shuffled, with
parameters of each set's own.

Brothers, "Robust Noise Attenuation via Adaptive Pooling of Transformer Outputs" (2506.09215).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def knn_centroid(sets: int, k: int, *, size: int = 128, dim: int = 16, seed: int = 42) -> tuple[Tensor, Tensor, Tensor]:
    """Return x float32 (sets, size, dim), the answers (sets, dim), and which vectors are signal, bool (sets, size).

    Raises ValueError for k that is not between 1 and size - 1.
    """
    if not 1 <= k < size:
        raise ValueError(f"k must be at least 1 and below size={size}, for the first vector is no neighbour; not {k}")
    generator = torch.Generator().manual_seed(seed)
    x = _features(sets, size, dim, generator)
    distances = (x - x[:, :1]).norm(dim=-1)
    distances[:, 0] = torch.inf
    nearest = distances.topk(k, largest=False).indices
    signal = torch.zeros(sets, size, dtype=torch.bool).scatter(1, nearest, True)
    return x, torch.einsum("sn,snd->sd", signal.float(), x) / k, signal


def _features(sets: int, size: int, dim: int, generator: torch.Generator) -> Tensor:
    # the ranges are those of the paper's released generator
    third = dim // 3 + 1

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(sets, 1, third, generator=generator)

    shape = (sets, size, third)
    normal = between(-3, 3) + between(1, 3) * torch.randn(shape, generator=generator)
    uniform = between(-3, 3) + between(0.2, 3) * torch.rand(shape, generator=generator)
    sign = (torch.rand(sets, 1, third, generator=generator) < 0.5) * 2.0 - 1
    exponential = sign * (between(0.1, 2) * torch.empty(shape).exponential_(generator=generator) - between(0, 3))
    order = torch.rand(sets, 1, 3 * third, generator=generator).argsort(-1)[..., :dim]
    drawn: Tensor = torch.cat([normal, uniform, exponential], -1).gather(2, order.expand(-1, size, -1))
    return drawn / math.sqrt(dim)
