"""SoftPool lies between mean and maximum, moves with its tokens, and stays finite."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cenote.pool import Max, Mean, SoftPool, Windows

X = torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASK = torch.rand(4, 9, generator=torch.Generator().manual_seed(1)) < 0.6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(0.01, 100))
def test_it_lies_between_the_mean_and_the_maximum(seed: int, scale: float) -> None:
    x = scale * torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = SoftPool()(x)
    assert (y >= Mean()(x) - 1e-9 * scale).all()
    assert (y <= Max()(x) + 1e-9 * scale).all()


def test_it_is_the_equation() -> None:
    for x, kept, y in zip(X, MASK, SoftPool(0.7)(X, MASK), strict=True):
        powers = (x[kept] / 0.7).exp()
        torch.testing.assert_close(y, (powers * x[kept]).sum(0) / powers.sum(0))


def test_tokens_that_are_alike_are_their_own_pool() -> None:
    x = X[:, :1].expand(4, 9, 5)
    torch.testing.assert_close(SoftPool()(x, MASK), x[:, 0])


@pytest.mark.parametrize("shift", [-30.0, 2.5, 1e3])
def test_a_shift_of_all_tokens_shifts_the_answer(shift: float) -> None:
    torch.testing.assert_close(SoftPool()(X + shift, MASK), SoftPool()(X, MASK) + shift)


def test_a_low_temperature_is_the_maximum_and_a_high_one_the_mean() -> None:
    torch.testing.assert_close(SoftPool(1e-4)(X, MASK), Max()(X, MASK))
    torch.testing.assert_close(SoftPool(1e6)(X, MASK), Mean()(X, MASK), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_values_whose_powers_overflow_are_pooled(dtype: torch.dtype) -> None:
    # the released kernel takes exp without a shift: infinity over infinity here, turned into 0
    x = torch.tensor([[[1e4], [-1e4], [9e3]]], dtype=dtype)
    assert (x.exp() / x.exp().sum(1, keepdim=True)).isnan().any()
    assert SoftPool()(x).item() == 1e4
    assert SoftPool().forward_packed(x[0], torch.tensor([0, 3])).item() == 1e4


def test_the_gradient_is_the_one_derived_by_hand() -> None:
    x = X.clone().requires_grad_()
    y = SoftPool()(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, x.softmax(1) * (1 + x - y[:, None]))


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be greater than 0"):
        SoftPool(temperature)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (9, 2, 3)])
def test_there_are_as_many_windows_as_torch_has_and_not_one_a_stride_as_released(
    size: int, kernel: int, stride: int
) -> None:
    # the released kernel counts size // stride windows, of which the last reach beyond the map when kernel > stride
    x = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = Windows(SoftPool(), kernel, stride)(x)
    powers = x.exp()
    expected = F.avg_pool1d(powers * x, kernel, stride) / F.avg_pool1d(powers, kernel, stride)
    torch.testing.assert_close(out, expected)
    reached = (size // stride - 1) * stride + kernel
    assert (out.shape[-1] != size // stride) == (reached > size)
