"""AttSets is what its paper says, equals its peer, and trains in two stages that leave each other's weights alone."""

import copy
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from cenote.pool.attsets import AttSets, AttSetsOfMaps
from cenote.pool.faset import FASet, singletons

WIDTH = 6


def made(**given: bool) -> AttSets:
    torch.manual_seed(0)
    return AttSets(WIDTH, **given).double()


def drawn(sets: int, elements: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sets, elements, WIDTH, generator=generator, dtype=torch.float64)
    return x, torch.arange(elements) < torch.randint(1, elements + 1, (sets, 1), generator=generator)


def test_it_equals_its_equation_set_by_set() -> None:
    pooler, (x, mask) = made(bias=True), drawn(9, 7)
    for row, kept, pooled in zip(x, mask, pooler(x, mask), strict=True):
        scores = row[kept] @ pooler.score.weight.T + pooler.score.bias
        weights = scores.exp() / scores.exp().sum(0)
        torch.testing.assert_close(pooled, (weights * row[kept]).sum(0))


def test_it_equals_torch_geometric() -> None:
    aggr = pytest.importorskip("torch_geometric.nn.aggr")
    pooler, (x, mask) = made(), drawn(9, 7)
    peer = aggr.AttentionalAggregation(gate_nn=pooler.score)
    rows = torch.arange(9)[:, None].expand(9, 7)[mask]
    torch.testing.assert_close(pooler(x, mask), peer(x[mask], rows), rtol=1e-6, atol=1e-6)


def test_a_set_of_one_is_its_element_whatever_the_weights_are_and_teaches_them_nothing() -> None:
    pooler, (x, mask) = made(), drawn(5, 1)
    torch.testing.assert_close(pooler(x, mask), x[:, 0], rtol=0, atol=0)
    pooler(x, mask).square().sum().backward()
    assert pooler.score.weight.grad is not None
    assert (pooler.score.weight.grad == 0).all()


def test_weights_of_zero_give_the_mean() -> None:
    pooler, (x, mask) = made(), drawn(9, 7)
    nn.init.zeros_(pooler.score.weight)
    expected = torch.stack([row[kept].mean(0) for row, kept in zip(x, mask, strict=True)])
    torch.testing.assert_close(pooler(x, mask), expected)


def test_a_bias_changes_nothing() -> None:
    with_bias, without, (x, mask) = made(bias=True), made(), drawn(9, 7)
    without.score.weight = with_bias.score.weight
    torch.testing.assert_close(with_bias(x, mask), without(x, mask))


@pytest.mark.parametrize("axes", [2, 3])
def test_maps_under_a_kernel_of_one_are_sets_at_each_place(axes: int) -> None:
    torch.manual_seed(0)
    maps = AttSetsOfMaps(WIDTH, axes=axes, kernel=1).double()  # type: ignore[arg-type]
    x = torch.randn(3, 4, WIDTH, *(2, 3, 2)[:axes], dtype=torch.float64)
    mask = torch.tensor([[True, True, True, True], [False, True, True, False], [True, False, False, False]])
    flat = AttSets(WIDTH).double()
    flat.score.weight.data = maps.score.weight.data.flatten(1)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in x.shape[3:])):
        at = (..., *place.tolist())
        torch.testing.assert_close(maps(x, mask)[at], flat(x[at], mask))


def test_maps_that_the_mask_leaves_out_are_never_read() -> None:
    torch.manual_seed(0)
    pooler, x = AttSetsOfMaps(3), torch.randn(2, 4, 3, 5, 5)
    mask = torch.tensor([[True, False, True, True], [False, False, True, False]])
    spoilt = x.masked_fill(~mask[:, :, None, None, None], torch.nan)
    assert torch.equal(pooler(spoilt, mask), pooler(x, mask))
    torch.testing.assert_close(pooler(x, mask)[1], x[1, 2])
    assert (pooler(x, torch.zeros(2, 4, dtype=torch.bool)) == 0).all()


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(sets, maps, 3, 2 spatial axes\), not \(2, 4, 3, 5\)"):
        AttSetsOfMaps(3)(torch.zeros(2, 4, 3, 5))
    with pytest.raises(ValueError, match=r"2 spatial axes\), not \(2, 4, 5, 3, 3\)"):
        AttSetsOfMaps(3)(torch.zeros(2, 4, 5, 3, 3))
    with pytest.raises(ValueError, match=r"mask has shape \(2, 3\) but x has 2 sets of 4 maps"):
        AttSetsOfMaps(3)(torch.zeros(2, 4, 3, 5, 5), torch.ones(2, 3))
    with pytest.raises(ValueError, match="axes must be 2"):
        AttSetsOfMaps(3, axes=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kernel must be odd"):
        AttSetsOfMaps(3, kernel=4)


class Network(nn.Module):
    """Features with statistics of their own, a pooling, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Linear(4, WIDTH), nn.BatchNorm1d(WIDTH))
        self.pooling = AttSets(WIDTH)
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        seen = self.features(x.flatten(0, 1)).view(*mask.shape, WIDTH)
        found: Tensor = self.head(self.pooling(seen, mask))[:, 0]
        return found


def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Sets of which the largest first entry is the target."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        x, mask = torch.randn(16, 6, 4, generator=generator), torch.arange(6) < torch.arange(1, 17)[:, None]
        yield x, mask, x[:, :, 0].masked_fill(~mask, -9).amax(1)


def state(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(dict(model.state_dict()))


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def train(epochs: tuple[int, int]) -> tuple[set[str], tuple[list[float], list[float]]]:
    model = Network()
    before = state(model)
    adam = partial(torch.optim.Adam, lr=0.02)
    losses = FASet(model, model.pooling).fit(batches, nn.functional.mse_loss, adam, epochs=epochs)
    return changed(before, state(model)), losses


def test_the_first_stage_leaves_the_pooling_as_it_was_bit_by_bit() -> None:
    moved, (losses, _) = train((2, 0))
    assert moved == {name for name in Network().state_dict() if not name.startswith("pooling")}
    assert losses[-1] < losses[0]


def test_the_second_stage_leaves_everything_else_as_it_was_with_its_statistics() -> None:
    moved, _ = train((0, 2))
    assert moved == {"pooling.score.weight"}


def test_the_second_stage_learns() -> None:
    _, (_, losses) = train((20, 20))
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_what_was_held_and_the_modes_are_as_before_when_a_stage_ends() -> None:
    model = Network()
    model.head.bias.requires_grad_(False)
    model.features.eval()
    before = [w.requires_grad for w in model.parameters()], [m.training for m in model.modules()]
    stages = FASet(model, model.pooling)
    for stage in (stages.base_stage, stages.pooling_stage):
        with pytest.raises(RuntimeError), stage():
            raise RuntimeError
        assert ([w.requires_grad for w in model.parameters()], [m.training for m in model.modules()]) == before


def test_singletons_keep_every_element_with_the_target_of_its_set() -> None:
    x, mask = torch.arange(12.0).view(2, 3, 2), torch.tensor([[True, False, True], [False, True, False]])
    alone, kept, targets = singletons(x, mask, torch.tensor([7, 8]))
    assert torch.equal(alone, torch.tensor([[[0.0, 1]], [[4.0, 5]], [[8.0, 9]]]))
    assert kept.tolist() == [[True]] * 3
    assert targets.tolist() == [7, 7, 8]


def test_parts_that_cannot_be_trained_apart_are_refused() -> None:
    model = Network()
    with pytest.raises(ValueError, match="pooling must be a module inside model"):
        FASet(model, AttSets(WIDTH))
    with pytest.raises(ValueError, match="no weights in the pooling"):
        FASet(nn.Sequential(nn.Linear(2, 2), pooling := nn.Identity()), pooling)
    with pytest.raises(ValueError, match="no weights beside the pooling"):
        FASet(model.pooling, model.pooling)
    with pytest.raises(ValueError, match=r"sets \[1\] have no element"):
        singletons(torch.zeros(2, 3, 2), torch.tensor([[True] * 3, [False] * 3]), torch.zeros(2))
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\)"):
        singletons(torch.zeros(2, 3, 2), torch.ones(2, 2), torch.zeros(2))
