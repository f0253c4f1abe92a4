"""Products with a fixed matrix, which is laid out once as the processor wants it.

y = gelu(x W' + b)      x (M, D), W (D', D); gelu where it is asked for, computed before y is rounded
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor


class Product:
    """x (M, D) -> (M, D'), by oneDNN's prepacked product on a CPU that has it, else by torch's own."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, gelu: bool = False) -> None:
        self.prepacked = weight.device.type == "cpu" and _prepacks(weight.dtype)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()) if self.prepacked else weight
        self._bias, self._gelu = bias, gelu

    def __call__(self, x: Tensor) -> Tensor:
        """Return y."""
        if self.prepacked:
            return _pointwise(x, self._weight, self._bias, self._gelu)
        y = F.linear(x, self._weight, self._bias)
        return F.gelu(y) if self._gelu else y


def _pointwise(x: Tensor, packed: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    after, exactly = ("gelu", "none") if gelu else ("none", "")
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, after, [], exactly)
    return found


@cache
def _prepacks(dtype: torch.dtype) -> bool:
    """Whether torch's oneDNN product, which is no public interface, is there, pays and is right: asked once."""
    if dtype == torch.bfloat16 and not torch.cpu._is_avx512_bf16_supported() and not torch.cpu._is_amx_tile_supported():
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(3, 64, generator=generator), torch.randn(32, 64, generator=generator)
    bias = torch.randn(32, generator=generator)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype))
        found = _pointwise(x.to(dtype), packed, bias.to(dtype), True)
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    near = 0.1 if dtype == torch.bfloat16 else 1e-4
    return torch.allclose(found.float(), F.gelu(F.linear(x, weight, bias)), atol=near, rtol=near)
