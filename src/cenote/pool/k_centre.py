"""Greedy k-centre: points far from each other, each next one the farthest from those already taken.

    i_1 = 0,  i_t+1 = argmax_i min_{s <= t} |x_i - x_{i_s}|

The greatest distance from a point to its nearest centre is at most twice the least possible (Gonzalez, "Clustering to
minimize the maximum intercluster distance", 1985).
"""

from __future__ import annotations

import torch
from torch import Tensor


def greedy_k_centre(points: Tensor, k: int) -> Tensor:
    """Return int64 (k,): which of the points (P, D) are centres, the first point first.

    Raises ValueError for k below 1 or above the number of points.
    """
    if not 1 <= k <= len(points):
        raise ValueError(f"k must be at least 1 and at most the number of points, {len(points)}, not {k}")
    chosen = torch.zeros(k, dtype=torch.int64, device=points.device)
    nearest = (points - points[0]).square().sum(1)
    for i in range(1, k):
        chosen[i] = nearest.argmax()
        nearest = nearest.minimum((points - points[chosen[i]]).square().sum(1))
    return chosen
