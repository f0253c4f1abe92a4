"""Products with a fixed matrix, which is laid out once as the processor wants it.

y = f(x W' + b)      x (M, D), W (D', D); f is an activation or nothing, computed before y is rounded where it is fused
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}
"""By the names that model folders use."""
_FUSED = {"gelu": ("gelu", "none"), "gelu_pytorch_tanh": ("gelu", "tanh"), "silu": ("swish", ""), None: ("none", "")}
"""What oneDNN calls them."""


class Product:
    """x (M, D) -> (M, D'), by oneDNN's prepacked product on a CPU that is quicker by it, else by torch's own."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str | None = None) -> None:
        self.prepacked = weight.device.type == "cpu" and _prepacks(weight.dtype)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()) if self.prepacked else weight
        self._bias, self._activation = bias, activation

    def __call__(self, x: Tensor) -> Tensor:
        """Return y."""
        if self.prepacked:
            return _pointwise(x, self._weight, self._bias, self._activation)
        y = F.linear(x, self._weight, self._bias)
        return ACTIVATIONS[self._activation](y) if self._activation else y


class Gated:
    """x (M, D) -> (M, D), y = W_down (f(W_gate x) * W_up x): Shazeer, "GLU variants" (2002.05202)."""

    def __init__(self, gate: Product, up: Product, down: Product) -> None:
        self._gate, self._up, self._down = gate, up, down

    def __call__(self, x: Tensor) -> Tensor:
        """Return y."""
        return self._down(self._gate(x).mul_(self._up(x)))


def _pointwise(x: Tensor, packed: Tensor, bias: Tensor | None, activation: str | None) -> Tensor:
    after, exactly = _FUSED[activation]
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, after, [], exactly)
    return found


@cache
def _prepacks(dtype: torch.dtype) -> bool:
    """Whether torch's oneDNN product, which is no public interface, is there, pays and is right: asked once."""
    if dtype == torch.bfloat16 and not torch.cpu._is_avx512_bf16_supported() and not torch.cpu._is_amx_tile_supported():
        return False
    # with narrower vectors its fused activations take five times what torch's do, and its products no less
    if dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(3, 64, generator=generator), torch.randn(32, 64, generator=generator)
    bias = torch.randn(32, generator=generator)
    near = 0.1 if dtype == torch.bfloat16 else 1e-4
    y = F.linear(x, weight, bias)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype))
        for activation in _FUSED:
            found = _pointwise(x.to(dtype), packed, bias.to(dtype), activation).float()
            expected = ACTIVATIONS[activation](y) if activation else y
            if not torch.allclose(found, expected, atol=near, rtol=near):
                return False
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True
