"""Windows pooled where they lie are those of torch in float64, with the same gradients, wherever they lie."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cenote.kernels import windowed
from cenote.kernels.windowed import Window

X = torch.randn(5, 9, 11, generator=torch.Generator().manual_seed(0))
WINDOWS: list[Window] = [
    ((2, 2), (2, 2), (0, 0)),
    ((3, 3), (1, 2), (1, 1)),
    ((4, 5), (3, 2), (2, 0)),
    ((1, 3), (2, 4), (0, 1)),
    ((9, 11), (1, 1), (0, 0)),
]
every_window = pytest.mark.parametrize("window", WINDOWS)


def compare(found: Tensor, x: Tensor, wanted: Tensor, exact: Tensor) -> None:
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)
    slope = torch.linspace(-1, 2, found.numel()).view_as(found)
    slopes = torch.autograd.grad(found, x, slope)[0], torch.autograd.grad(wanted, exact, slope.double())[0]
    torch.testing.assert_close(slopes[0].double(), slopes[1], rtol=1e-5, atol=1e-6)


@every_window
@pytest.mark.parametrize("shared_from", [1, 2**18])
def test_the_mean_is_torchs(window: Window, shared_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windowed, "_SHARED_FROM", shared_from)
    x, exact = X.clone().requires_grad_(), X.double().requires_grad_()
    wanted = F.avg_pool2d(exact, *window, count_include_pad=False)
    compare(windowed.Mean.of(x, window, tuple(wanted.shape[1:])), x, wanted, exact)


@every_window
@pytest.mark.parametrize("sign", [1, -1])
def test_the_extreme_is_torchs(window: Window, sign: int) -> None:
    x, exact = X.clone().requires_grad_(), X.double().requires_grad_()
    wanted = sign * F.max_pool2d(sign * exact, *window)
    compare(windowed.Extreme.of(x, window, tuple(wanted.shape[1:]), sign), x, wanted, exact)


def test_cells_that_share_an_extreme_share_its_gradient_in_each_of_their_windows() -> None:
    x = torch.tensor([[[1.0, 1.0, 0.0]]], requires_grad=True)
    out = windowed.Extreme.of(x, ((1, 2), (1, 1), (0, 0)), (1, 2))
    assert torch.autograd.grad(out.sum(), x)[0].tolist() == [[[0.5, 1.5, 0]]]


@pytest.mark.parametrize("sign", [1, -1])
def test_an_extreme_is_no_number_where_a_cell_is_none(sign: int) -> None:
    for place in range(4):
        x = torch.arange(4.0).index_fill(0, torch.tensor(place), torch.nan).view(1, 2, 2)
        assert windowed.Extreme.of(x, ((2, 2), (2, 2), (0, 0)), (1, 1), sign).isnan().all()
