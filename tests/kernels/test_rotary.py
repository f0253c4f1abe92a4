"""The rotary kernel turns each half of a head as a product of complex numbers does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.kernels.rotary import rotate


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 20),
    heads=st.integers(1, 4),
    half=st.integers(1, 20),
    behind=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_it_is_a_product_of_complex_numbers(rows: int, heads: int, half: int, behind: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 2 * heads * half + behind, generator=generator)
    angles = torch.randn(7, half, generator=generator).double()
    places = torch.randint(0, 7, (rows,), generator=generator)
    turns = torch.polar(torch.ones_like(angles), angles)[places][:, None]
    for dtype, near in ((torch.float32, 1e-6), (torch.bfloat16, 2**-7)):
        before, found = x.to(dtype), x.to(dtype).clone()
        kind = torch.uint16 if dtype == torch.bfloat16 else dtype
        rotate(
            found.view(kind).numpy(), places.numpy(), angles.cos().float().numpy(), angles.sin().float().numpy(), heads
        )
        a, b = before[:, : 2 * heads * half].double().unflatten(1, (heads, 2, half)).unbind(2)
        turned = torch.complex(a, b) * turns
        expected = torch.stack([turned.real, turned.imag], 2).flatten(1)
        torch.testing.assert_close(found[:, : 2 * heads * half].double(), expected, rtol=near, atol=4 * near)
        assert torch.equal(found[:, 2 * heads * half :], before[:, 2 * heads * half :])


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_the_first_place_turns_nothing(dtype: type) -> None:
    x = torch.randn(3, 64).numpy() if dtype == np.float32 else torch.randn(3, 64).bfloat16().view(torch.uint16).numpy()
    found = x.copy()
    rotate(found, np.zeros(3, np.int64), np.ones((1, 16), np.float32), np.zeros((1, 16), np.float32), 2)
    np.testing.assert_array_equal(found, x)
