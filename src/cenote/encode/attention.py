"""Attention inside the rows of a packed matrix, by whatever this machine does best.

    out_i = sum_j softmax_j(scale q_i . k_j + bias(j - i)) v_j      qkv (M, (H + 2 G) d) -> (M, H d)

Every row is by itself; j runs over the tokens that i sees: all of them, those up to itself, or those of a window around
it. On a CPU with AVX2 or AVX-512 this is the ragged kernel of `cenote.kernels.attention`; on an NVIDIA card in bf16
torch's attention over rows of different lengths; elsewhere torch's attention over runs of rows of one length, which
sorted batches make long.
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
_BLOCK = 512
"""Queries of a row that torch computes together where they see a window only: what lies far outside is left out."""


class Attention:
    """Attention of H heads of width d on one device in one type; `kernel` says what computes it.

    key_heads: G, each shared by H / G heads of queries; by default H. scale: by default 1 / sqrt(d). before, after:
    tokens that one sees at most on either side, None for all. bias: distances (n,) -> (H, n), added to scores.
    """

    def __init__(
        self,
        heads: int,
        width: int,
        device: torch.device,
        dtype: torch.dtype,
        *,
        key_heads: int | None = None,
        scale: float | None = None,
        before: int | None = None,
        after: int | None = None,
        bias: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.heads, self.key_heads, self.width = heads, key_heads or heads, width
        self.before, self.after, self.bias = before, after, bias
        self._device, self._dtype = device, dtype
        self._causal = before is None and after == 0 and bias is None
        self.scale = width**-0.5 if scale is None else scale
        self.kernel = _kernel(width, device, dtype, bias is not None)

    def over(self, offsets: Int64) -> Callable[[Tensor], Tensor]:
        """Return the function qkv (M, (H + 2 G) d) -> (M, H d) for rows with these borders, int64 (B + 1)."""
        if self.kernel == "ragged" and offsets[-1] >= FEW:
            return self._ragged(offsets)
        if self.kernel == "varlen":
            return self._varlen(offsets)
        return self._grouped(offsets)

    def _added(self, distance: Tensor) -> Tensor:
        """Return (H or 1, ...) fp32 for distances of keys from their queries: the bias, -inf where nothing is seen."""
        added = (
            distance.new_zeros(1, *distance.shape, dtype=torch.float32) if self.bias is None else self.bias(distance)
        )
        for limit, beyond in ((self.before, -distance), (self.after, distance)):
            if limit is not None:
                added = added.masked_fill(beyond > limit, -torch.inf)
        return added.contiguous()

    def _sees_all(self, longest: int) -> bool:
        limits = (limit for limit in (self.before, self.after) if limit is not None)
        return self.bias is None and all(limit >= longest - 1 for limit in limits)

    def _ragged(self, offsets: Int64) -> Callable[[Tensor], Tensor]:
        from cenote.kernels.attention import Added, attend

        longest = int(np.diff(offsets).max(initial=0))
        added = None
        if not self._sees_all(longest):
            added = Added(self._added(torch.arange(-longest, longest + 1)).numpy(), self.before, self.after)
        return lambda qkv: attend(qkv, offsets, self.heads, key_heads=self.key_heads, scale=self.scale, added=added)

    def _varlen(self, offsets: Int64) -> Callable[[Tensor], Tensor]:
        from torch.nn.attention.varlen import varlen_attn

        borders = torch.from_numpy(offsets.astype(np.int32))
        most = int(np.diff(offsets).max(initial=0))
        window = (-1 if self.before is None else self.before, -1 if self.after is None else self.after)

        def attend(qkv: Tensor) -> Tensor:
            at = borders.to(qkv.device, non_blocking=True)
            q, k, v = self.parts(qkv, 1)
            shared = self.heads != self.key_heads
            found = varlen_attn(q, k, v, at, at, most, most, scale=self.scale, window_size=window, enable_gqa=shared)
            assert isinstance(found, Tensor)
            return found.reshape(len(qkv), -1)

        return attend

    def _grouped(self, offsets: Int64) -> Callable[[Tensor], Tensor]:
        runs = list(_equal(np.diff(offsets).tolist()))
        pieces = {length: list(self._pieces(length)) for _, _, length in runs}
        shared = self.heads != self.key_heads

        def attend(qkv: Tensor) -> Tensor:
            out = qkv.new_empty(len(qkv), self.heads * self.width)
            for start, rows, length in runs:
                part = slice(start, start + rows * length)
                q, k, v = (x.transpose(1, 2) for x in self.parts(qkv[part].view(rows, length, -1), 2))
                to = out[part].view(rows, length, self.heads, -1)
                for queries, keys, mask in pieces[length]:
                    found = F.scaled_dot_product_attention(
                        q[:, :, queries],
                        k[:, :, keys],
                        v[:, :, keys],
                        mask,
                        is_causal=self._causal and length > 1,
                        scale=self.scale,
                        enable_gqa=shared,
                    )
                    to[:, queries] = found.transpose(1, 2)
            return out

        return attend

    def parts(self, qkv: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, (..., H or G, d)."""
        heads = qkv.view(*qkv.shape[:-1], -1, self.width)
        q, k, v = torch.split(heads, [self.heads, self.key_heads, self.key_heads], axis)
        return q, k, v

    def _pieces(self, length: int) -> Iterator[tuple[slice, slice, Tensor | None]]:
        """Yield (queries, the keys they see, their mask) of what a row of this length is computed in."""
        if self._causal or self._sees_all(length):
            yield slice(length), slice(length), None
            return
        step = length if self.before is None or self.after is None else _BLOCK
        for first in range(0, length, step):
            stop = min(first + step, length)
            begun = 0 if self.before is None else max(0, first - self.before)
            end = length if self.after is None else min(length, stop + self.after)
            queries, keys = (torch.arange(*part, device=self._device) for part in ((first, stop), (begun, end)))
            mask = self._added(keys[None, :] - queries[:, None]).to(self._dtype)
            yield slice(first, stop), slice(begun, end), mask[None]


def _kernel(width: int, device: torch.device, dtype: torch.dtype, biased: bool) -> str:
    if device.type == "cpu":
        lanes = vector_lanes(str(dtype).removeprefix("torch."))
        return "ragged" if lanes and width % (2 * lanes) == 0 else "grouped"
    native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    fits = native and dtype == torch.bfloat16 and not biased and width % 8 == 0 and width <= 256
    return "varlen" if fits and find_spec("torch.nn.attention.varlen") else "grouped"


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
