"""Attention inside the rows of a packed matrix, by whatever this machine does best.

    out = softmax(q k' / sqrt(d)) v      qkv (M, 3 D) -> (M, D), every row and head by itself

On a CPU with AVX2 or AVX-512 this is the ragged kernel of `cenote.kernels.attention`; on an NVIDIA card in bf16 torch's
attention over rows of different lengths; elsewhere torch's attention over runs of rows of one length, which sorted
batches make long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cenote.arrays import Int64
from cenote.kernels.machine import vector_lanes

FEW = 256
"""Tokens of a batch below which torch computes it: loading compiled kernels takes longer than they would save."""


class Attention:
    """Attention of one width on one device in one type; `kernel` says what computes it."""

    def __init__(self, dim: int, heads: int, device: torch.device, dtype: torch.dtype) -> None:
        self.dim, self.heads = dim, heads
        self.kernel = _kernel(dim, heads, device, dtype)

    def over(self, offsets: Int64) -> Callable[[Tensor], Tensor]:
        """Return the function qkv (M, 3 D) -> (M, D) for rows with these borders, int64 (B + 1)."""
        if self.kernel == "ragged" and offsets[-1] >= FEW:
            from cenote.kernels.attention import attend

            return lambda qkv: attend(qkv, offsets, self.heads)
        if self.kernel == "varlen":
            return self._varlen(offsets)
        runs = list(_equal(np.diff(offsets).tolist()))
        return lambda qkv: self._grouped(qkv, runs)

    def _varlen(self, offsets: Int64) -> Callable[[Tensor], Tensor]:
        from torch.nn.attention.varlen import varlen_attn

        borders = torch.from_numpy(offsets.astype(np.int32))
        most = int(np.diff(offsets).max(initial=0))

        def attend(qkv: Tensor) -> Tensor:
            at = borders.to(qkv.device, non_blocking=True)
            q, k, v = qkv.view(len(qkv), 3, self.heads, -1).unbind(1)
            found = varlen_attn(q, k, v, at, at, most, most)
            assert isinstance(found, Tensor)
            return found.reshape(len(qkv), self.dim)

        return attend

    def _grouped(self, qkv: Tensor, runs: list[tuple[int, int, int]]) -> Tensor:
        out = qkv.new_empty(len(qkv), self.dim)
        for start, rows, length in runs:
            part = qkv[start : start + rows * length].view(rows, length, 3, self.heads, -1)
            q, k, v = part.permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
            out[start : start + rows * length].view(rows, length, self.heads, -1).copy_(attended)
        return out


def _kernel(dim: int, heads: int, device: torch.device, dtype: torch.dtype) -> str:
    if device.type == "cpu":
        lanes = vector_lanes(str(dtype).removeprefix("torch."))
        return "ragged" if lanes and dim % heads == 0 and dim // heads % (2 * lanes) == 0 else "grouped"
    native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return "varlen" if native and dtype == torch.bfloat16 and find_spec("torch.nn.attention.varlen") else "grouped"


def _equal(lengths: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (first token, rows, length) of each run of rows of equal length."""
    at = i = 0
    while i < len(lengths):
        j = i
        while j < len(lengths) and lengths[j] == lengths[i]:
            j += 1
        if lengths[i]:
            yield at, j - i, lengths[i]
        at, i = at + (j - i) * lengths[i], j
