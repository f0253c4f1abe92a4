"""Rows whose numbers lie one behind the other are reduced as torch does in float64, with the same gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cenote.kernels import along

X = torch.randn(6, 37, generator=torch.Generator().manual_seed(0)) * 3
KEPT = torch.rand(3, 37, generator=torch.Generator().manual_seed(1)) < 0.5
ALL = torch.ones_like(KEPT)

REDUCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "max": (lambda x: along.Extreme.of(x, ALL), lambda x: x.amax(1)),
    "min": (lambda x: along.Extreme.of(x, ALL, -1), lambda x: x.amin(1)),
    "max of some": (
        lambda x: along.Extreme.of(x, KEPT),
        lambda x: x.masked_fill(~KEPT.repeat_interleave(2, 0), -torch.inf).amax(1),
    ),
    "logsumexp": (lambda x: along.LogSumExp.of(x, 1), lambda x: x.logsumexp(1)),
    "logsumexp, of the least": (lambda x: along.LogSumExp.of(x, -3), lambda x: (-3 * x).logsumexp(1)),
    "softmean": (along.SoftMean.of, lambda x: (x.softmax(1) * x).sum(1)),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("shared_from", [1, 2**20])
def test_it_is_the_plain_equation_with_its_gradient(
    name: str, shared_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(along, "_SHARED_FROM", shared_from)
    ours, plain = REDUCTIONS[name]
    x, exact = X.clone().requires_grad_(), X.double().requires_grad_()
    out, expected = ours(x), plain(exact)
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=1e-6)
    slope = torch.linspace(-1, 2, len(out))
    found, wanted = torch.autograd.grad(out, x, slope), torch.autograd.grad(expected, exact, slope.double())
    torch.testing.assert_close(found[0].double(), wanted[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_left_out_may_be_anything_and_has_no_gradient(sign: int) -> None:
    kept = KEPT.clone()
    kept[1] = False
    out_of = ~kept.repeat_interleave(2, 0)
    expected = along.Extreme.of(X, kept, sign)
    assert (expected[2:4] == 0).all()
    for filler in (torch.nan, torch.inf, -torch.inf):
        x = X.masked_fill(out_of, filler).requires_grad_()
        out = along.Extreme.of(x, kept, sign)
        assert torch.equal(out, expected)
        assert (torch.autograd.grad(out.sum(), x)[0][out_of] == 0).all()


def test_places_that_share_an_extreme_share_its_gradient() -> None:
    x = torch.tensor([[1.0, 1.0, 0.0]], requires_grad=True)
    along.Extreme.of(x, torch.ones(1, 3, dtype=torch.bool)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.5, 0.5, 0]]


def test_an_extreme_is_no_number_where_one_is_none() -> None:
    x = torch.tensor([[1.0, torch.nan], [torch.inf, 0.0]])
    found = along.Extreme.of(x, torch.ones(1, 2, dtype=torch.bool))
    assert found.isnan().tolist() == [True, False]
