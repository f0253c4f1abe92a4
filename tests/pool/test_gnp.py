"""GNP is the sum, the mean, the maximum and the minimum at their exponents, and equals its peer."""

import math

import pytest
import torch
from torch import Tensor

from cenote.pool.gnp import GNP

WIDTH = 6


def bare(p: float, q: float) -> GNP:
    """The positive branch without the mixing."""
    return GNP(WIDTH, p, q, branches=1, mix=False).double()


def drawn(seed: int = 0, width: int = WIDTH) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = 0.1 + torch.rand(9, 7, width, generator=generator, dtype=torch.float64)
    return x, torch.arange(7) < torch.randint(1, 8, (9, 1), generator=generator)


def each(x: Tensor, mask: Tensor, reduce: object) -> Tensor:
    return torch.stack([reduce(row[kept]) for row, kept in zip(x, mask, strict=True)])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("p", "q", "reduce"),
    [
        (1, 0, lambda row: row.sum(0)),
        (1, 1, lambda row: row.mean(0)),
        (2, 0.5, lambda row: row.square().mean(0).sqrt()),
        (2, 0, lambda row: row.norm(dim=0)),
        (3, -1, lambda row: len(row) * row.pow(3).sum(0).pow(1 / 3)),
    ],
)
def test_it_is_the_pooling_of_its_exponents(p: float, q: float, reduce: object) -> None:
    x, mask = drawn()
    torch.testing.assert_close(bare(p, q)(x, mask), each(x, mask, reduce), rtol=1e-4, atol=1e-4)


def test_a_large_p_is_the_maximum_and_a_large_negative_one_the_minimum() -> None:
    x, mask = drawn(width=2 * WIDTH)
    found = GNP(2 * WIDTH, 50, 0, mix=False).double()(x, mask)
    slack = 1 + 1e-4
    greatest, least = (each(x, mask, lambda row, d=d: getattr(row, d)(0)) for d in ("amax", "amin"))  # type: ignore[misc]
    most = mask.sum(1)[:, None] ** (1 / 50)
    assert (found[:, :WIDTH] >= greatest[:, :WIDTH] / slack).all()
    assert (found[:, :WIDTH] <= most * greatest[:, :WIDTH] * slack).all()
    assert (found[:, WIDTH:] <= least[:, WIDTH:] * slack).all()
    assert (found[:, WIDTH:] >= least[:, WIDTH:] / most / slack).all()


@pytest.mark.parametrize("p", [0.5, 1, 3])
def test_a_power_mean_is_that_of_torch_geometric_and_forgets_how_often_a_set_is_repeated(p: float) -> None:
    aggr = pytest.importorskip("torch_geometric.nn.aggr")
    pooler, (x, mask) = bare(p, 1 / p), drawn()
    rows = torch.arange(9)[:, None].expand(9, 7)[mask]
    torch.testing.assert_close(pooler(x, mask), aggr.PowerMeanAggregation(p)(x[mask], rows), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooler(x.repeat(1, 3, 1), mask.repeat(1, 3)), pooler(x, mask))


def test_a_set_twice_as_large_in_value_is_twice_as_large() -> None:
    pooler, (x, mask) = GNP(WIDTH, 2.0, mix=False).double(), drawn()
    torch.testing.assert_close(pooler(3 * x, mask), 3 * pooler(x, mask), rtol=1e-4, atol=0)


def test_the_halves_are_of_channels_and_a_layer_mixes_them() -> None:
    torch.manual_seed(0)
    pooler, (x, mask) = GNP(5, 2.0, 0.25).double(), drawn(width=5)
    n = mask.sum(1)[:, None].double()
    positive = each(x[..., :3], mask, lambda row: row.pow(2).sum(0).pow(1 / 2))
    negative = each(x[..., 3:], mask, lambda row: row.pow(-2).sum(0).pow(-1 / 2))
    assert pooler.mixing is not None
    expected = pooler.mixing(torch.cat([positive, negative], 1) * n**-0.25)
    torch.testing.assert_close(pooler(x, mask), expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_in_the_power_of_the_size_is_what_algebra_says() -> None:
    pooler, (x, mask) = bare(1.5, 0.5), drawn()
    out = pooler(x, mask)
    out.sum().backward()
    expected = -(mask.sum(1)[:, None].double().log() * out).sum()
    assert pooler.power_of_size.grad is not None
    torch.testing.assert_close(pooler.power_of_size.grad[0], expected.detach())


def test_the_exponents_are_where_training_begins_and_stay_within_50() -> None:
    pooler = GNP(WIDTH, 3.0, -1.0)
    p, q = pooler.exponents()
    torch.testing.assert_close(p, torch.tensor([3.0, -3.0]))
    torch.testing.assert_close(q, torch.tensor([-1.0, -1.0]))
    pooler.order_of_norm.data.fill_(1e3)
    assert pooler.exponents()[0].tolist() == [50, -50]


def test_nothing_overflows_at_the_greatest_exponents() -> None:
    pooler = GNP(WIDTH, 50.0)
    x = torch.tensor([[0.0], [1e30], [-1e-30], [1e10]]).expand(1, 4, WIDTH).clone().requires_grad_()
    out = pooler(x)
    out.abs().log().sum().backward()
    for found in (out, x.grad, pooler.order_of_norm.grad, pooler.power_of_size.grad):
        assert found is not None
        assert found.isfinite().all()


def test_it_learns_the_sum_and_finds_it_in_sets_five_times_as_large() -> None:
    generator = torch.Generator().manual_seed(0)
    pooler = GNP(1, branches=1, mix=False)
    optimiser = torch.optim.Adam(pooler.parameters(), 0.05)
    for _ in range(300):
        sizes = torch.randint(3, 11, (32, 1), generator=generator)
        x, mask = torch.rand(32, 10, 1, generator=generator), torch.arange(10) < sizes
        loss = (pooler(x, mask) / x.masked_fill(~mask[:, :, None], 0).sum(1)).log().square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    large = torch.rand(64, 50, 1, generator=generator)
    assert ((pooler(large) - large.sum(1)) / large.sum(1)).abs().max() < 0.05
    mean = large.mean(1) * math.sqrt(6.5)  # what the start, q = 1/2, could say at best
    assert ((mean - large.sum(1)) / large.sum(1)).abs().min() > 0.5


def test_exponents_that_cannot_be_are_refused() -> None:
    for p in (0.0, -1.0, 51.0):
        with pytest.raises(ValueError, match="p must lie above 0 and not above 50"):
            GNP(WIDTH, p)
    with pytest.raises(ValueError, match="branches must be 1"):
        GNP(WIDTH, branches=3)  # type: ignore[arg-type]
