"""GWAP is a convex mean that begins at the plain one, and its weights are the map."""

import pytest
import torch
from torch import nn

from cenote.pool import GWAP, GWAPClasses, Mean
from cenote.pool.boxes import boxes
from cenote.pool.gwap import Activation

X = torch.randn(4, 9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASK = torch.rand(4, 9, generator=torch.Generator().manual_seed(1)) < 0.6
ACTS: dict[Activation, object] = {"sigmoid": torch.sigmoid, "softplus": nn.functional.softplus, "exp": torch.exp}
every_act = pytest.mark.parametrize("act", list(ACTS))


def stirred(pooler: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for weight in pooler.double().parameters():
        nn.init.normal_(weight)
    return pooler


@every_act
@pytest.mark.parametrize("hidden", [None, 5])
def test_training_begins_at_the_mean(act: Activation, hidden: int | None) -> None:
    pooler = GWAP(6, act=act, hidden=hidden).double()
    torch.testing.assert_close(pooler(X, MASK), Mean()(X, MASK))


@every_act
def test_it_is_the_weighted_mean_as_written(act: Activation) -> None:
    pooler = stirred(GWAP(6, act=act))
    for x, kept, y in zip(X, MASK, pooler(X, MASK), strict=True):
        weights = ACTS[act](pooler.score(x[kept]))  # type: ignore[operator]
        torch.testing.assert_close(y, (weights * x[kept]).sum(0) / weights.sum())


def test_with_powers_it_is_the_attention_of_torch_geometric() -> None:
    aggr = pytest.importorskip("torch_geometric.nn.aggr")
    pooler = stirred(GWAP(6, act="exp"))
    rows = torch.arange(4).repeat_interleave(9)
    peer = aggr.AttentionalAggregation(gate_nn=pooler.score)(X.flatten(0, 1), rows, dim_size=4)
    torch.testing.assert_close(pooler(X), peer)


@every_act
def test_weights_too_small_for_a_float_are_still_in_proportion(act: Activation) -> None:
    # act(-2000) is 0 in any float: a quotient with an epsilon would give zeros
    pooler = GWAP(1, act=act).double()
    pooler.score[0].weight.data[:] = 1
    pooler.score[0].bias.data[:] = -2000
    x = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    torch.testing.assert_close(pooler(x), torch.tensor([[1.0]]).double().sigmoid())


def test_a_token_of_no_weight_is_ignored() -> None:
    pooler = GWAP(1, act="exp").double()
    pooler.score[0].weight.data[:] = -1e6
    x = torch.tensor([[[1.0], [0.0], [0.0]]], dtype=torch.float64)
    assert pooler(x).item() == 0


@every_act
def test_the_answer_lies_among_its_tokens(act: Activation) -> None:
    y = stirred(GWAP(6, act=act, hidden=3))(X)
    assert (y >= X.amin(1)).all()
    assert (y <= X.amax(1)).all()


@every_act
def test_objectness_is_the_weight_before_the_sum(act: Activation) -> None:
    pooler = stirred(GWAP(6, act=act))
    pictures = X[:, :8].view(4, 2, 4, 6)
    maps = pooler.objectness(pictures)
    torch.testing.assert_close(maps, ACTS[act](pooler.score(pictures))[..., 0])  # type: ignore[operator]
    flat = maps.flatten(1)
    torch.testing.assert_close(pooler.weights(X[:, :8], MASK[:, :8] | True), flat / flat.sum(1, keepdim=True))


@every_act
def test_classes_that_share_their_weights_are_a_linear_classifier_behind_gwap(act: Activation) -> None:
    shared, each = stirred(GWAP(6, act=act)), stirred(GWAPClasses(6, 3, act=act))
    each.score[0].weight.data = shared.score[0].weight.data.expand(3, 6).clone()
    each.score[0].bias.data = shared.score[0].bias.data.expand(3).clone()
    torch.testing.assert_close(each(X, MASK), each.classify(shared(X, MASK)))


def test_each_class_has_its_own_weights() -> None:
    pooler = stirred(GWAPClasses(6, 3))
    weights, logits = pooler.weights(X, MASK), pooler.classify(X)
    assert weights.shape == (4, 3, 9)
    torch.testing.assert_close(pooler(X, MASK), torch.einsum("bcn,bnc->bc", weights, logits))
    maps = pooler.objectness(X)
    for c in range(3):
        alone = maps[:, :, c] * MASK
        torch.testing.assert_close(weights[:, c], alone / alone.sum(1, keepdim=True))


def test_the_weights_of_classes_are_derived() -> None:
    pooler = stirred(GWAPClasses(6, 2, act="softplus", hidden=3))
    names = [name for name, _ in pooler.named_parameters()]
    weights = tuple(weight.detach().clone().requires_grad_() for weight in pooler.parameters())

    def pool(*weights: torch.Tensor) -> object:
        return torch.func.functional_call(pooler, dict(zip(names, weights, strict=True)), (X, MASK))

    assert torch.autograd.gradcheck(pool, weights)


def test_a_box_holds_the_largest_part_above_the_threshold() -> None:
    picture = torch.zeros(5, 7)
    picture[0, 0] = 1.0  # the peak, alone
    picture[2:4, 3:6] = 0.6
    picture[4, 6] = 0.9  # touches by a corner only
    assert boxes(picture).tolist() == [3, 2, 6, 4]
    assert boxes(picture, 0.95).tolist() == [0, 0, 1, 1]
    assert boxes(torch.stack([picture, picture.flip(0)])[None]).tolist() == [[[3, 2, 6, 4], [3, 1, 6, 3]]]


def test_a_box_of_an_even_map_is_the_map() -> None:
    assert boxes(torch.ones(2, 3, 4)).tolist() == [[0, 0, 4, 3]] * 2


@pytest.mark.parametrize(
    ("maps", "threshold", "message"),
    [
        (torch.ones(4), 0.5, "maps must have shape"),
        (torch.ones(4, 0), 0.5, "maps must have shape"),
        (-torch.ones(4, 4), 0.5, "maps must hold weights"),
        (torch.full((4, 4), torch.nan), 0.5, "maps must hold weights"),
        (torch.ones(4, 4), 1.5, "threshold must be between 0 and 1"),
    ],
)
def test_no_box_without_a_map(maps: torch.Tensor, threshold: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        boxes(maps, threshold)


def test_what_makes_no_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="act must be sigmoid, softplus or exp, not 'relu'"):
        GWAP(6, act="relu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hidden must be at least 1"):
        GWAP(6, hidden=0)
    with pytest.raises(ValueError, match="classes must be at least 1"):
        GWAPClasses(6, 0)
