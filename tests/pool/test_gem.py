"""GeM and GGeM are power means: between their limits, homogeneous, rising with p, and one exponent a group."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gmean, pmean
from torch import Tensor

from cenote.pool import GeM, GGeM, Max, Mean, Min

MASK = torch.rand(4, 9, generator=torch.Generator().manual_seed(1)) < 0.6
X = torch.rand(4, 9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.01
SIGNED = torch.randn(4, 9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
quick = settings(max_examples=25, deadline=None)
exponents = st.floats(-20, 20).filter(lambda p: abs(p) > 0.01)


def gem(x: Tensor, p: float, mask: Tensor | None = None, **given: bool) -> Tensor:
    """GeM in float64."""
    out: Tensor = GeM(p, **given).double()(x, mask)
    return out


@quick
@given(p=exponents)
def test_it_is_the_power_mean_of_scipy(p: float) -> None:
    wanted = np.stack([pmean(x[kept], p) for x, kept in zip(X.numpy(), MASK.numpy(), strict=True)])
    np.testing.assert_allclose(gem(X, p, MASK).detach().numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_it_is_the_pool_of_torch_up_to_the_number_of_tokens(p: float) -> None:
    peer = torch.nn.functional.lp_pool1d(X.transpose(1, 2), p, 9)[:, :, 0] / 9 ** (1 / p)
    torch.testing.assert_close(gem(X, p), peer)


def test_one_is_the_mean() -> None:
    torch.testing.assert_close(gem(X, 1.0, MASK), Mean()(X, MASK))


@quick
@given(p=st.floats(1, 200))
def test_it_is_below_the_maximum_by_a_root_of_the_number_of_tokens_at_most(p: float) -> None:
    y, greatest = gem(X, p), Max()(X)
    assert (y <= greatest * (1 + 1e-6)).all()
    assert (y >= greatest * 9 ** (-1 / p) * (1 - 1e-6)).all()
    assert (gem(X, -p) >= Min()(X) * (1 - 1e-6)).all()
    assert (gem(X, -p) <= Min()(X) * 9 ** (1 / p) * (1 + 1e-6)).all()


@quick
@given(p=exponents, more=st.floats(0.02, 5), scale=st.floats(0.1, 1e3))
def test_it_rises_with_p_and_with_the_scale_of_the_tokens(p: float, more: float, scale: float) -> None:
    assert (gem(X, p + more, MASK) >= gem(X, p, MASK) - 1e-6).all()
    torch.testing.assert_close(gem(scale * X, p, MASK), scale * gem(X, p, MASK), rtol=1e-6, atol=0)


@pytest.mark.parametrize("p", [1e-12, -1e-12, 1e-3])
def test_near_zero_it_is_the_geometric_mean(p: float) -> None:
    np.testing.assert_allclose(gem(X, p).detach().numpy(), gmean(X.numpy(), axis=1), rtol=2e-3)
    np.testing.assert_allclose(GeM(p)(X.float()).detach().numpy(), gmean(X.numpy(), axis=1), rtol=4e-3)


@pytest.mark.parametrize("p", [1e-12, 0.5, 3.0, 60.0])
def test_the_exponent_has_a_slope_wherever_it_is(p: float) -> None:
    pooler = GeM(p).double()
    slope = torch.autograd.grad(pooler(X, MASK).sum(), pooler.exponent)[0]
    step = max(1e-3, abs(p) * 1e-3)
    around = (gem(X, p + 2 * step, MASK) - gem(X, p - step, MASK)).sum() / (3 * step)
    torch.testing.assert_close(slope[0], around, rtol=0.02, atol=1e-6)


def test_the_slope_of_the_exponent_is_the_one_derived_by_hand() -> None:
    pooler = GeM(2.5).double()
    y = pooler(X)
    powers = X**2.5
    by_hand = y * ((powers * X.log()).sum(1) / powers.sum(1) / 2.5 - powers.mean(1).log() / 2.5**2)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), pooler.exponent)[0][0], by_hand.sum())


def test_powers_that_no_float_holds_are_averaged() -> None:
    x = torch.tensor([[[3e5], [1e5]]])
    assert (x**64).isinf().all()
    torch.testing.assert_close(GeM(64.0)(x), torch.tensor([[3e5 * 0.5 ** (1 / 64)]]))


def test_what_is_below_eps_counts_as_eps() -> None:
    torch.testing.assert_close(gem(SIGNED, 3.0, MASK), gem(SIGNED.clamp(min=1e-6), 3.0, MASK))


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 7.0])
def test_signed_powers_keep_their_sign(p: float) -> None:
    powers = (SIGNED.sign() * SIGNED.abs() ** p).mean(1)
    wanted = powers.sign() * powers.abs() ** (1 / p)
    torch.testing.assert_close(gem(SIGNED, p, signed=True), wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gem(-SIGNED, p, MASK, signed=True), -gem(SIGNED, p, MASK, signed=True))


def test_signed_powers_that_cancel_have_no_slope_and_no_nan() -> None:
    x = torch.tensor([[[2.0], [-2.0]]], requires_grad=True)
    y = GeM(3.0, signed=True)(x)
    assert y.item() == 0
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


def test_one_group_is_gem_and_a_group_a_channel_is_gem_of_each_channel() -> None:
    torch.testing.assert_close(GGeM(6, 1).double()(X, MASK), gem(X, 3.0, MASK))
    pooler = GGeM(6, 6).double()
    pooler.exponent.data = torch.arange(1.0, 7, dtype=torch.float64)
    each = [gem(X[:, :, d : d + 1], d + 1.0, MASK) for d in range(6)]
    torch.testing.assert_close(pooler(X, MASK), torch.cat(each, dim=1))


def test_the_groups_are_neighbours_as_heads_are() -> None:
    pooler = GGeM(6, 2).double()
    pooler.exponent.data = torch.tensor([1.0, 9.0], dtype=torch.float64)
    wanted = torch.cat([gem(X[:, :, :3], 1.0), gem(X[:, :, 3:], 9.0)], dim=1)
    torch.testing.assert_close(pooler(X), wanted)


def test_the_exponents_of_groups_are_derived() -> None:
    pooler = GGeM(6, 3).double()

    def pool(p: Tensor, x: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(pooler, {"exponent": p}, (x, MASK))
        return out

    p = torch.tensor([1.5, 3.0, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, (p, X.clone().requires_grad_()))


def test_an_exponent_that_is_not_learned_is_not_trained() -> None:
    assert not any(weight.requires_grad for weight in GeM(learn=False).parameters())


@pytest.mark.parametrize(("dim", "groups"), [(6, 4), (6, 0), (6, -2), (6, 12)])
def test_groups_divide_the_channels(dim: int, groups: int) -> None:
    with pytest.raises(ValueError, match="groups must divide dim"):
        GGeM(dim, groups)


@pytest.mark.parametrize("p", [0, torch.nan, torch.inf])
def test_no_exponent_and_no_least_value_are_refused(p: float) -> None:
    with pytest.raises(ValueError, match="p must not be 0"):
        GeM(p)
    with pytest.raises(ValueError, match="eps must be greater than 0"):
        GGeM(6, 2, eps=0)
