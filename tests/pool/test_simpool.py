"""SimPool equals timm's and its equation, and a row's vector is its own."""

import math
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from cenote.pool import SimPool
from cenote.pool.over_space import OverSpace

X = torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASK = torch.rand(3, 7, generator=torch.Generator().manual_seed(1)) < 0.7


def stirred(pooler: SimPool, std: float = 0.7) -> SimPool:
    torch.manual_seed(0)
    for weight in pooler.double().parameters():
        nn.init.normal_(weight, std=std)
    return pooler


def released(pooler: SimPool, x: Tensor) -> Tensor:
    """The equation as it was released: one head, and the minimum of the whole batch."""
    tokens = nn.functional.layer_norm(x, [8], pooler.norm.weight, pooler.norm.bias, 1e-6)
    queries, keys = x.mean(1) @ pooler.query.weight.T, tokens @ pooler.key.weight.T
    attention = (torch.einsum("bd,bnd->bn", queries, keys) / math.sqrt(8)).softmax(1)
    values = tokens - tokens.min() + 1e-6
    return torch.einsum("bn,bnd->bd", attention, values**pooler.gamma) ** (1 / pooler.gamma)  # type: ignore[operator]


@pytest.mark.parametrize("heads", [1, 2, 8])
@pytest.mark.parametrize("gamma", [None, 1.25, 2.0])
def test_it_equals_the_layer_of_timm(heads: int, gamma: float | None, timm_pools: ModuleType) -> None:
    ours = stirred(SimPool(8, heads, gamma, min_scope="channel"))
    peer = timm_pools.SimPool1d(8, num_heads=heads, gamma=gamma).double()
    peer.norm.load_state_dict(ours.norm.state_dict())
    peer.q.load_state_dict(ours.query.state_dict())
    peer.k.load_state_dict(ours.key.state_dict())
    peer.norm.eps = ours.norm.eps
    torch.testing.assert_close(ours(X), peer(X))


def test_an_image_alone_is_pooled_as_released() -> None:
    pooler = stirred(SimPool(8))
    for i in range(3):
        torch.testing.assert_close(pooler(X[i : i + 1]), released(pooler, X[i : i + 1]))


def test_the_released_minimum_ties_an_image_to_its_neighbours_and_ours_does_not() -> None:
    pooler = stirred(SimPool(8))
    neighbours = torch.cat([X[:1], 3 * X[1:]])
    # the layer norm bounds tokens, but its least value is another image's here
    assert not torch.allclose(released(pooler, neighbours)[0], released(pooler, X[:1])[0])
    torch.testing.assert_close(pooler(neighbours)[0], pooler(X[:1])[0])


def test_without_a_query_the_attention_is_even() -> None:
    pooler = stirred(SimPool(8, gamma=1.0))
    nn.init.zeros_(pooler.query.weight)
    tokens = pooler.norm(X)
    mean = torch.stack([each[kept].mean(0) for each, kept in zip(tokens, MASK, strict=True)])
    least = torch.stack([each[kept].min() for each, kept in zip(tokens, MASK, strict=True)])
    torch.testing.assert_close(pooler(X, MASK), mean - least[:, None] + 1e-6)
    plain = SimPool(8, gamma=None).double()
    plain.load_state_dict(pooler.state_dict())
    torch.testing.assert_close(plain(X, MASK), mean)
    even = MASK / MASK.sum(1, keepdim=True).double()
    torch.testing.assert_close(pooler.weights(X, MASK), even[:, None])


def test_a_high_power_takes_the_greatest_value() -> None:
    pooler = stirred(SimPool(8, gamma=500.0))
    tokens = pooler.norm(X)
    greatest = (tokens - tokens.amin((1, 2), keepdim=True)).amax(1)
    torch.testing.assert_close(pooler(X), greatest, rtol=0.1, atol=0)
    assert (pooler(X) <= greatest + 1e-5).all()


def test_powers_beyond_what_a_float_holds_are_averaged() -> None:
    pooler = SimPool(8, gamma=200.0)
    assert (pooler.norm(X.float()) - pooler.norm(X.float()).min()).pow(200).isinf().any()
    assert pooler(X.float()).isfinite().all()


def test_each_head_attends_over_its_own_channels() -> None:
    pooler = stirred(SimPool(8, 2, None))
    weights, tokens = pooler.weights(X, MASK), pooler.norm(X)
    assert weights.shape == (3, 2, 7)
    halves = [torch.einsum("bn,bnd->bd", weights[:, h], tokens[:, :, 4 * h : 4 * h + 4]) for h in range(2)]
    torch.testing.assert_close(pooler(X, MASK), torch.cat(halves, 1))


def test_weights_with_keys_folded_are_those_of_projected_keys() -> None:
    pooler = stirred(SimPool(8, 2))
    queries = pooler.query(X.mean(1)).view(3, 2, 4)
    keys = pooler.key(pooler.norm(X)).view(3, 7, 2, 4)
    scores = torch.einsum("bhe,bnhe->bhn", queries, keys) / 2
    torch.testing.assert_close(pooler.weights(X, MASK | True), scores.softmax(-1))


def test_a_picture_is_pooled_as_its_cells_in_a_row() -> None:
    pooler = stirred(SimPool(8))
    pictures = X[:, :6].transpose(1, 2).reshape(3, 8, 2, 3)
    out, maps = OverSpace(pooler)(pictures, return_weights=True)
    torch.testing.assert_close(out, pooler(X[:, :6]))
    torch.testing.assert_close(maps.flatten(2), pooler.weights(X[:, :6], torch.ones(3, 6, dtype=torch.bool)))


def test_its_weights_are_derived() -> None:
    pooler = stirred(SimPool(8, 2), 0.3)
    names = [name for name, _ in pooler.named_parameters()]
    given = tuple(weight.detach().clone().requires_grad_() for weight in pooler.parameters())

    def pool(*weights: Tensor) -> object:
        return torch.func.functional_call(pooler, dict(zip(names, weights, strict=True)), (X, MASK))

    assert torch.autograd.gradcheck(pool, given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gamma": 0.0}, "gamma must be greater than 0"),
        ({"gamma": -1.0}, "gamma must be greater than 0"),
        ({"heads": 3}, "heads must divide dim: 8 cannot be split among 3"),
        ({"heads": 0}, "heads must divide dim"),
        ({"min_scope": "batch"}, "min_scope must be example or channel"),
        ({"eps": 0.0}, "eps must be greater than 0"),
    ],
)
def test_what_cannot_be_pooled_with_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimPool(8, **given)  # type: ignore[arg-type]


def test_heads_with_a_power_are_merged_and_not_left_beside_each_other_as_released() -> None:
    # the release multiplies (heads, 1, tokens) with (heads, tokens, width of a head) and never puts the heads together
    pooler = SimPool(8, 2, 1.25).double()
    out = pooler(X)
    weights = pooler.weights(X, torch.ones(X.shape[:2], dtype=torch.bool))
    values = pooler.norm(X)
    values = (values - values.amin((1, 2), keepdim=True) + pooler.eps).view(*X.shape[:2], 2, 4).transpose(1, 2)
    released = (weights[:, :, None] @ values.pow(1.25)).pow(1 / 1.25)
    assert released.shape == (len(X), 2, 1, 4)
    assert out.shape == (len(X), 8)
    torch.testing.assert_close(out, released.transpose(1, 2).flatten(1))
