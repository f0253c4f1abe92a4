"""How well a weighted mean keeps noise out: the loss against the signal, and a bound on the noise it lets in.

    loss = mean_{s in S} |x_s - y|^2            least where y is the centroid of the signal S
    sum_{n not in S} a_n <= (N - k) / (k e^g + N - k)      a = softmax(s), g = min_S s - max_{not S} s, k = |S|

Every noise weight is at most e^-g times every signal weight, which gives the bound; among themselves the signal weights
differ by at most the factor e^(max_S s - min_S s).

Brothers, "Robust Noise Attenuation via Adaptive Pooling of Transformer Outputs" (2506.09215).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.kernels.segments import wide


def signal_loss(pooled: Tensor, x: Tensor, signal: Tensor) -> Tensor:
    """Return (B,): the mean squared distance of pooled (B, D) from the tokens of x (B, N, D) that signal (B, N) marks.

    Raises ValueError for shapes that do not belong together and a row without signal.
    """
    if pooled.shape != (x.shape[0], x.shape[-1]) or signal.shape != x.shape[:2]:
        shapes = f"pooled {tuple(pooled.shape)}, x {tuple(x.shape)} and signal {tuple(signal.shape)}"
        raise ValueError(f"{shapes} do not belong together; pass (B, D), (B, N, D) and (B, N)")
    _check_signal(signal)
    kept = wide(x).masked_fill(~signal[:, :, None], 0)
    squared = (kept - wide(pooled)[:, None]).square().sum(-1).masked_fill(~signal, 0)
    return squared.sum(1) / signal.sum(1)


def noise_mass_bound(scores: Tensor, signal: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return (B,) or (B, H): what the softmax of scores (B, N) or (B, H, N) can give to noise at most.

    signal (B, N) marks the signal among the tokens that mask (B, N) keeps, all of them without one. Raises ValueError
    for shapes that do not belong together and a row without signal.
    """
    if signal.shape != (scores.shape[0], scores.shape[-1]):
        raise ValueError(f"scores {tuple(scores.shape)} and signal {tuple(signal.shape)} do not belong together")
    mask = torch.ones_like(signal) if mask is None else mask
    signal, noise = signal & mask, ~signal & mask
    _check_signal(signal)
    if scores.ndim == 3:
        signal, noise = signal[:, None], noise[:, None]
    least = wide(scores).masked_fill(~signal, torch.inf).amin(-1)
    most = wide(scores).masked_fill(~noise, -torch.inf).amax(-1)
    k, others = signal.sum(-1), noise.sum(-1)
    # without noise the gap is infinite and the bound 0
    return others / (k * (least - most).exp() + others)


def _check_signal(signal: Tensor) -> None:
    if not bool(signal.any(1).all()):
        rows = torch.nonzero(~signal.any(1)).flatten().tolist()
        raise ValueError(f"rows {rows} have no signal; mark at least one token in each")
