"""The fused sum and norm equals torch's two steps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cenote.kernels.norms import add_norm


def normed(x: Tensor, r: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    out = torch.empty_like(x)
    kind = torch.uint16 if x.dtype == torch.bfloat16 else x.dtype
    add_norm(x.view(kind).numpy(), r.view(kind).numpy(), weight.numpy(), bias.numpy(), eps, out.view(kind).numpy())
    return out


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 9), width=st.integers(1, 100), scale=st.sampled_from([1e-3, 1.0, 1e3]), seed=st.integers(0, 99)
)
def test_it_is_the_norm_of_the_sum(rows: int, width: int, scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, r = (torch.randn(rows, width, generator=generator) * scale for _ in range(2))
    weight, bias = torch.randn(width, generator=generator), torch.randn(width, generator=generator)
    for dtype, near in ((torch.float32, 1e-5), (torch.bfloat16, 2**-8)):
        a, b = x.to(dtype), r.to(dtype)
        expected = torch.nn.functional.layer_norm(
            (a.double() + b.double()), (width,), weight.double(), bias.double(), 1e-5
        )
        found = normed(a, b, weight, bias, 1e-5)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, rtol=near, atol=near)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_a_number_stays_so_in_its_row(dtype: torch.dtype) -> None:
    x = torch.randn(3, 40).to(dtype)
    x[1, 7], x[2, 3] = float("nan"), float("inf")
    found = normed(x, torch.ones_like(x), torch.ones(40), torch.zeros(40), 1e-12)
    assert found[0].isfinite().all()
    assert found[1].isnan().all()
    assert not found[2].isfinite().all()


def test_bf16_is_rounded_to_the_nearest_and_halfway_to_even() -> None:
    # the norm of (1, -1) is itself, so the bias alone decides what has to be rounded
    bias = torch.from_numpy(np.linspace(-3, 3, 2_000, dtype=np.float32))
    x = torch.tensor([1.0, -1.0]).repeat(1_000)[None].bfloat16()
    weight = torch.zeros(2_000)
    found = normed(x, torch.zeros_like(x), weight, bias, 0.0)
    assert torch.equal(found[0], bias.bfloat16())
