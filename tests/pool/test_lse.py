"""LSE equals timm's, and runs from the minimum over the mean to the maximum."""

from types import ModuleType

import pytest
import torch

from cenote.pool import LSE, Max, Mean, Min

X = torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASK = torch.rand(4, 9, generator=torch.Generator().manual_seed(1)) < 0.6


@pytest.mark.parametrize("r", [0.1, 1.0, 10.0])
def test_it_equals_the_layer_of_timm(r: float, timm_pools: ModuleType) -> None:
    torch.testing.assert_close(LSE(r)(X), timm_pools.LsePlus1d(r=r).double()(X))


def test_a_large_r_is_the_maximum_and_a_small_one_the_mean() -> None:
    for pooler, limit in ((LSE(1e5), Max()), (LSE(1e-5), Mean()), (LSE(-1e5), Min())):
        torch.testing.assert_close(pooler(X, MASK), limit(X, MASK), atol=1e-4, rtol=0)


def test_it_is_never_further_from_the_maximum_than_the_logarithm_of_the_number_of_tokens_over_r() -> None:
    below = Max()(X) - LSE(3.0)(X)
    assert (below >= 0).all()
    assert (below <= torch.tensor(9.0).log() / 3).all()


def test_r_is_trained_where_that_is_asked() -> None:
    pooler = LSE(2.0, learn=True).double()
    pooler(X.masked_fill(~MASK[:, :, None], torch.nan), MASK).sum().backward()
    slope = pooler.sharpness.grad
    above, below = (LSE(2 + step)(X, MASK).sum() for step in (1e-5, -1e-5))
    torch.testing.assert_close(slope, (above - below) / 2e-5, atol=1e-6, rtol=1e-6)
    assert not list(LSE(2.0).parameters())


def test_values_whose_powers_overflow_are_pooled() -> None:
    assert LSE()(torch.tensor([[[1e4], [-1e4]]])).item() == pytest.approx(1e4 - 0.0693)


@pytest.mark.parametrize("r", [0, torch.nan, -torch.inf])
def test_no_r_is_a_limit(r: float) -> None:
    with pytest.raises(ValueError, match="r must not be 0"):
        LSE(r)


def test_the_minimum_is_the_maximum_upside_down() -> None:
    assert torch.equal(Min()(X, MASK), -Max()(-X, MASK))
    assert Min()(torch.tensor([[[3.0], [1.0], [2.0]]])).item() == 1
