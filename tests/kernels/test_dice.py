"""Means weighted by similarity to the mean are what autograd makes of the equation in float64."""

import pytest
import torch
from torch import Tensor

from cenote.kernels import ragged
from cenote.kernels.dice import DiceMean

MASK = torch.tensor([[1, 0, 1, 1, 0, 1], [0] * 6, [0, 0, 0, 1, 0, 0], [1] * 6], dtype=torch.bool)
PLACES = ragged.kept(MASK)
X = torch.randn(MASK.numel(), 11, generator=torch.Generator().manual_seed(0)) * 3


def of_one(x: Tensor) -> Tensor:
    mean = x.mean(0)
    similarity = 2 * x * mean / (x.square() + mean.square())
    return (similarity.softmax(0) * x).sum(0)


@pytest.mark.parametrize("shared_from", [1, 2**21])
def test_it_is_the_plain_equation_of_each_row_with_its_gradient(
    shared_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ragged, "_SHARED_FROM", shared_from)
    x, exact = X.clone().requires_grad_(), X.double().requires_grad_()
    out = DiceMean.of(x, *PLACES)
    rows = [row[keep] for row, keep in zip(exact.view(*MASK.shape, -1), MASK, strict=True)]
    expected = torch.stack([of_one(row) if len(row) else exact.new_zeros(11) for row in rows])
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-6)
    slope = torch.linspace(-1, 2, out.numel()).view_as(out)
    found, wanted = torch.autograd.grad(out, x, slope)[0], torch.autograd.grad(expected, exact, slope.double())[0]
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("filler", [torch.nan, torch.inf])
def test_a_token_of_no_row_may_be_anything_and_has_no_gradient(filler: float) -> None:
    nowhere = ~MASK.flatten()
    x = X.masked_fill(nowhere[:, None], filler).requires_grad_()
    out = DiceMean.of(x, *PLACES)
    assert torch.equal(out, DiceMean.of(X, *PLACES))
    assert (torch.autograd.grad(out.sum(), x)[0][nowhere] == 0).all()


def test_zeros_are_their_own_mean() -> None:
    x = torch.zeros(3, 2, requires_grad=True)
    out = DiceMean.of(x, *ragged.all_of(torch.tensor([0, 3]), 3))
    assert (out == 0).all()
    assert torch.autograd.grad(out.sum(), x)[0].isfinite().all()
