"""The poolers equal the peers that mean the same, padded, packed and over maps."""

from types import ModuleType
from typing import Any

import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Pooling, WeightedLayerPooling
from torch import nn
from torch.nn import functional as F

from cenote import registry
from cenote.pool import LSE, Chain, GeM, OverLayers, OverSpace, Pooler, SimPool, SoftPool

X = torch.rand(11, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
OFFSETS = torch.tensor([0, 4, 5, 11])
ROWS = torch.tensor([0] * 4 + [1] + [2] * 6)
MAPS = torch.randn(3, 8, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

AGGREGATIONS: list[tuple[Pooler, str, dict[str, Any]]] = [
    (registry.make("mean"), "MeanAggregation", {}),
    (registry.make("sum"), "SumAggregation", {}),
    (registry.make("max"), "MaxAggregation", {}),
    (registry.make("min"), "MinAggregation", {}),
    (SoftPool(), "SoftmaxAggregation", {}),
    (SoftPool(0.25), "SoftmaxAggregation", {"t": 4.0}),  # there t multiplies
    (GeM(3.0), "PowerMeanAggregation", {"p": 3.0}),
]


@pytest.mark.parametrize(("pooler", "kind", "given"), AGGREGATIONS)
def test_packed_it_equals_the_aggregation_of_torch_geometric(pooler: Pooler, kind: str, given: dict[str, Any]) -> None:
    aggr = pytest.importorskip("torch_geometric.nn.aggr")
    ours, theirs = X.clone().requires_grad_(), X.clone().requires_grad_()
    out, peer = pooler.double().forward_packed(ours, OFFSETS), getattr(aggr, kind)(**given).double()(theirs, ROWS)
    torch.testing.assert_close(out, peer)
    slope = torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view_as(out)
    for one, other in zip(torch.autograd.grad(out, ours, slope), torch.autograd.grad(peer, theirs, slope), strict=True):
        torch.testing.assert_close(one, other)


def test_powers_of_values_above_a_hundred_are_cut_off_there_by_torch_geometric_and_not_here() -> None:
    aggr = pytest.importorskip("torch_geometric.nn.aggr")
    far = 1000 * X
    assert (aggr.PowerMeanAggregation(p=3.0).double()(far, ROWS) <= 100).all()
    torch.testing.assert_close(
        GeM(3.0).double().forward_packed(far, OFFSETS), 1000 * GeM(3.0).double().forward_packed(X, OFFSETS)
    )


@pytest.mark.parametrize("sharpness", [0.5, 10.0])
def test_over_maps_lse_is_the_layer_of_timm(sharpness: float, timm_pools: ModuleType) -> None:
    peer = timm_pools.LsePlus2d(r=sharpness).double()
    torch.testing.assert_close(OverSpace(LSE(sharpness))(MAPS), peer(MAPS))


@pytest.mark.parametrize(("heads", "gamma"), [(1, None), (2, 1.25)])
def test_over_maps_simpool_is_the_layer_of_timm(heads: int, gamma: float | None, timm_pools: ModuleType) -> None:
    torch.manual_seed(0)
    peer = timm_pools.SimPool2d(8, num_heads=heads, gamma=gamma).double()
    ours = SimPool(8, heads, gamma, min_scope="channel").double()
    ours.norm.eps = peer.norm.eps
    ours.query.weight.data, ours.key.weight.data = peer.q.weight.data, peer.k.weight.data
    torch.testing.assert_close(OverSpace(ours)(MAPS), peer(MAPS))


@pytest.mark.parametrize(("word", "peer"), [("mean", F.adaptive_avg_pool2d), ("max", F.adaptive_max_pool2d)])
def test_over_maps_the_plain_ones_are_those_of_torch(word: str, peer: Any) -> None:
    torch.testing.assert_close(OverSpace(word)(MAPS), peer(MAPS, 1).flatten(1))


def test_over_maps_a_generalised_mean_is_the_norm_that_torch_pools() -> None:
    maps = MAPS.abs()
    norm = F.lp_pool2d(maps, 3.0, maps.shape[2:]).flatten(1)
    torch.testing.assert_close(OverSpace(GeM(3.0).double())(maps), norm / (5 * 4) ** (1 / 3))


@pytest.mark.parametrize(("over", "weights"), [("mean", None), ("weighted", [1.0, 2.0, 3.0])])
def test_over_layers_it_is_the_weighted_layer_pooling_of_sentence_transformers(
    over: str, weights: list[float] | None
) -> None:
    layers = torch.randn(5, 3, 7, 6, generator=torch.Generator().manual_seed(0))  # the first is the embedding output
    mask = torch.arange(7) < torch.tensor([[7], [2], [5]])
    given = None if weights is None else nn.Parameter(torch.tensor(weights))
    first = WeightedLayerPooling(6, num_hidden_layers=4, layer_start=2, layer_weights=given)
    features = {"all_layer_embeddings": layers.unbind(0), "attention_mask": mask.long()}
    peer = Pooling(6, "mean")(first(features))["sentence_embedding"]
    ours = OverLayers(over, "mean", last=3)
    torch.testing.assert_close(ours(layers[1:].transpose(0, 1), mask), peer)


def test_the_mean_of_the_greatest_is_that_of_topk() -> None:
    x = torch.randn(4, 9, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Chain([{"word": "kmax", "k": 3}, "mean"])(x), x.topk(3, dim=1).values.mean(1))
