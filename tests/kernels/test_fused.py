"""Reductions that go through the tokens part by part give what autograd gives of the plain equations."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cenote import registry
from cenote.kernels import fused

ROWS = 3
IDS = torch.tensor([0, 2, 2, ROWS, 0, 2, ROWS, 0, 2])  # row 1 has no token, two tokens have no row
X = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
OTHER = torch.randn(9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

REDUCTIONS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "sum": (lambda x, _: fused.Sum.of(x, IDS, ROWS), lambda x, _: x.sum(0)),
    "weighted": (
        lambda x, s: fused.WeightedSum.of(s[:, 0], x, IDS, ROWS),
        lambda x, s: (s[:, :1] * x).sum(0),
    ),
    "max": (lambda x, _: fused.Extreme.of(x, IDS, ROWS), lambda x, _: x.amax(0)),
    "min": (lambda x, _: fused.Extreme.of(x, IDS, ROWS, -1), lambda x, _: x.amin(0)),
    "logsumexp": (lambda x, _: fused.LogSumExp.of(x, IDS, ROWS), lambda x, _: x.logsumexp(0)),
    "softmean of itself": (
        lambda x, _: fused.SoftMean.of(x, None, IDS, ROWS),
        lambda x, _: (x.softmax(0) * x).sum(0),
    ),
    "softmean": (lambda x, s: fused.SoftMean.of(x, s, IDS, ROWS), lambda x, s: (s.softmax(0) * x).sum(0)),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("part", [1, 8, 2**21])
def test_it_is_the_plain_equation_of_each_row_with_its_gradient(
    name: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "_PART", part)
    ours, plain = REDUCTIONS[name]
    given = [X.clone().requires_grad_(), OTHER.clone().requires_grad_()]
    out = ours(*given)
    expected = torch.stack([plain(*(one[row == IDS] for one in given)) for row in (0, 2)])
    torch.testing.assert_close(out[[0, 2]], expected)
    assert (out[1] == 0).all()
    slope = torch.linspace(-1, 2, 8, dtype=torch.float64).view(2, 4)
    found = torch.autograd.grad(out[[0, 2]], given, slope, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad(expected, given, slope, allow_unused=True, materialize_grads=True)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("filler", [torch.nan, torch.inf, -torch.inf])
def test_a_token_of_no_row_may_be_anything_and_has_no_gradient(name: str, filler: float) -> None:
    ours, _ = REDUCTIONS[name]
    nowhere = IDS == ROWS
    clean = [X, OTHER]
    given = [one.masked_fill(nowhere[:, None], filler).requires_grad_() for one in clean]
    out = ours(*given)
    assert torch.equal(out, ours(*clean))
    for gradient in torch.autograd.grad(out.sum(), given, allow_unused=True, materialize_grads=True):
        assert gradient.isfinite().all()
        assert (gradient[nowhere] == 0).all()


@pytest.mark.parametrize("word", ["mean", "max", "min", "weighted", "softpool", "lse", "gem"])
def test_tokens_that_lie_channel_by_channel_are_pooled_alike_whatever_the_mask_leaves_out(word: str) -> None:
    pooler = registry.make(word, ("pool",)).double()
    mask = torch.tensor([[True, False, True], [False] * 3, [True] * 3])
    x = X[:9].view(3, 3, 4)
    spoilt = x.masked_fill(~mask[:, :, None], torch.nan)
    apart = spoilt.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    together = x.clone().requires_grad_()
    assert not apart.is_contiguous()
    torch.testing.assert_close(pooler(apart, mask), pooler(together, mask))
    found, wanted = (torch.autograd.grad(pooler(one, mask).square().sum(), one)[0] for one in (apart, together))
    torch.testing.assert_close(found, wanted)
