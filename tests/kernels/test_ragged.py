"""Rows read where they lie are what torch makes of each row alone, in float64, whatever lies between them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from cenote.kernels import ragged
from cenote.kernels.ragged_loops import exp

WIDTH = 11
MASK = torch.tensor([[1, 0, 1, 1, 0, 1, 1, 1], [0] * 8, [0, 0, 0, 1, 0, 0, 0, 0], [1] * 8], dtype=torch.bool)
TOKENS = MASK.numel()
PLACES = ragged.kept(MASK)
X, OTHER = torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(0)) * 3
Reduction = Callable[[Tensor, Tensor], Tensor]

REDUCTIONS: dict[str, tuple[Reduction, Reduction]] = {
    "sum": (lambda x, _: ragged.Sum.of(x, *PLACES), lambda x, _: x.sum(0)),
    "weighted": (
        lambda x, s: ragged.WeightedSum.of(s[:, 0][PLACES[0]], x, *PLACES),
        lambda x, s: (s[:, :1] * x).sum(0),
    ),
    "max": (lambda x, _: ragged.Extreme.of(x, *PLACES), lambda x, _: x.amax(0)),
    "min": (lambda x, _: ragged.Extreme.of(x, *PLACES, -1), lambda x, _: x.amin(0)),
    "logsumexp": (lambda x, _: ragged.LogSumExp.of(x, *PLACES), lambda x, _: x.logsumexp(0)),
    "logsumexp, sharper": (lambda x, _: ragged.LogSumExp.of(x, *PLACES, 2.5), lambda x, _: (2.5 * x).logsumexp(0)),
    "logsumexp, of the least": (lambda x, _: ragged.LogSumExp.of(x, *PLACES, -2), lambda x, _: (-2 * x).logsumexp(0)),
    "softmean of itself": (
        lambda x, _: ragged.SoftMean.of(x, None, *PLACES),
        lambda x, _: (x.softmax(0) * x).sum(0),
    ),
    "softmean": (lambda x, s: ragged.SoftMean.of(x, s, *PLACES), lambda x, s: (s.softmax(0) * x).sum(0)),
}
every_reduction = pytest.mark.parametrize("name", REDUCTIONS)


def of_each_row(reduce: Reduction, x: Tensor, other: Tensor) -> Tensor:
    """A reduction of one row, done for each; zeros for a row without tokens."""
    rows = [(x.view(*MASK.shape, -1)[i, keep], other.view(*MASK.shape, -1)[i, keep]) for i, keep in enumerate(MASK)]
    return torch.stack([reduce(*row) if len(row[0]) else row[0].new_zeros(WIDTH) for row in rows])


@every_reduction
@pytest.mark.parametrize("shared_from", [1, 2**21])
def test_it_is_the_plain_equation_of_each_row_with_its_gradient(
    name: str, shared_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ragged, "_SHARED_FROM", shared_from)
    ours, plain = REDUCTIONS[name]
    given = [one.clone().requires_grad_() for one in (X, OTHER)]
    exact = [one.double().requires_grad_() for one in (X, OTHER)]
    out, expected = ours(*given), of_each_row(plain, *exact)
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=1e-6)
    slope = torch.linspace(-1, 2, out.numel()).view_as(out)
    found = torch.autograd.grad(out, given, slope, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad(expected, exact, slope.double(), allow_unused=True, materialize_grads=True)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


@every_reduction
@pytest.mark.parametrize("filler", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_a_token_of_no_row_may_be_anything_and_has_no_gradient(name: str, filler: float) -> None:
    ours, _ = REDUCTIONS[name]
    nowhere = ~MASK.flatten()
    given = [one.masked_fill(nowhere[:, None], filler).requires_grad_() for one in (X, OTHER)]
    out = ours(*given)
    assert torch.equal(out, ours(X, OTHER))
    for gradient in torch.autograd.grad(out.sum(), given, allow_unused=True, materialize_grads=True):
        assert (gradient[nowhere] == 0).all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("tokens", [1, 2, 5, 9])
def test_an_extreme_is_no_number_where_a_token_is_none(sign: int, tokens: int) -> None:
    for place in range(tokens):
        x = torch.randn(tokens, 3)
        x[place, 1] = torch.nan
        x[:, 2] = torch.inf
        found = ragged.Extreme.of(x, *ragged.all_of(torch.tensor([0, tokens]), tokens), sign)[0]
        assert found.isnan().tolist() == [False, True, False]
        assert found[2] == torch.inf


def test_a_softmax_of_segments_is_that_of_each_alone_with_its_gradient() -> None:
    lengths = [3, 0, 1, 5]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    scores = torch.randn(sum(lengths), 4, requires_grad=True)
    exact = scores.detach().double().requires_grad_()
    out = ragged.Softmax.of(scores, offsets)
    expected = torch.cat([part.softmax(0) for part in exact.split(lengths)])
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=1e-6)
    slope = torch.linspace(-1, 2, out.numel()).view_as(out)
    found, wanted = torch.autograd.grad(out, scores, slope), torch.autograd.grad(expected, exact, slope.double())
    torch.testing.assert_close(found[0].double(), wanted[0], rtol=1e-5, atol=1e-6)


def test_a_softmax_of_what_is_no_number_is_none() -> None:
    scores = torch.tensor([[0.0], [torch.nan], [1.0]])
    assert ragged.Softmax.of(scores, torch.tensor([0, 3])).isnan().all()


def test_places_that_share_an_extreme_share_its_gradient() -> None:
    x = torch.tensor([[1.0], [1.0], [0.0]], requires_grad=True)
    ragged.Extreme.of(x, *ragged.all_of(torch.tensor([0, 3]), 3)).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0.5, 0.5, 0]


def test_powers_of_e_are_those_of_a_double_to_two_places_of_the_last_bit() -> None:
    x = -np.geomspace(1e-6, 86, 20_001).astype(np.float32)
    found = np.array([exp(one) for one in x])
    assert np.abs(found / np.exp(x.astype(np.float64)) - 1).max() < 4 * np.finfo(np.float32).eps
    assert [exp(np.float32(one)) for one in (0, -100, -np.inf)] == [1, 0, 0]
    assert np.isnan(exp(np.float32(np.nan)))


def test_sums_have_second_derivatives() -> None:
    x = X.clone().requires_grad_()
    slope = torch.autograd.grad(ragged.Sum.of(x, *PLACES).square().sum(), x, create_graph=True)[0]
    found = torch.autograd.grad(slope.sum(), x)[0]
    kept = MASK.flatten()[:, None]
    expected = torch.where(kept, 2.0 * MASK.sum(1).repeat_interleave(MASK.shape[1])[:, None], 0).expand_as(X)
    torch.testing.assert_close(found, expected)
