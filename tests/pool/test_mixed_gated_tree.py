"""Mixed, gated and tree pooling: between maximum and mean, and equal to what they become at their borders."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from cenote import registry
from cenote.pool import Gated, GatedPool, Max, Mean, Mixed, MixedPool, TreePool
from cenote.pool.of_windows import Share, Shared
from cenote.pool.windows import windows

MAP = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOKENS = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
MASK = torch.rand(4, 7, generator=torch.Generator().manual_seed(2)) < 0.6
SHARES: list[Share] = ["layer", "channel", "region", "region_channel"]
KINDS = [MixedPool, GatedPool, TreePool]
every_share = pytest.mark.parametrize("share", SHARES)
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind: type, share: Share = "layer", **given: object) -> Shared:
    """A pool of 3 x 4 windows of 2 x 2 cells, with random weights."""
    torch.manual_seed(0)
    needed = {"channels": 3 if "channel" in share else None, "out_size": (3, 4) if "region" in share else None}
    pool: Shared = kind(2, share=share, **{**needed, **given}).double()
    for weight in pool.parameters():
        nn.init.normal_(weight)
    return pool


def cells(x: Tensor) -> Tensor:
    """The windows of 2 x 2 cells, (B, C, 3, 4, 4)."""
    return windows(x, 2, 2)[0].flatten(-2)


def test_a_mix_goes_from_the_mean_to_the_maximum() -> None:
    pool = MixedPool(2).double()
    for logit, expected in ((50.0, F.max_pool2d(MAP, 2)), (-50.0, F.avg_pool2d(MAP, 2))):
        nn.init.constant_(pool.logit, logit)
        torch.testing.assert_close(pool(MAP), expected)


@pytest.mark.parametrize("init", [0.1, 0.5, 0.9])
def test_a_mix_begins_at_the_share_it_is_told(init: float) -> None:
    expected = init * F.max_pool2d(MAP, 2) + (1 - init) * F.avg_pool2d(MAP, 2)
    torch.testing.assert_close(MixedPool(2, init=init)(MAP), expected, atol=1e-6, rtol=1e-6)
    expected = init * Max()(TOKENS, MASK) + (1 - init) * Mean()(TOKENS, MASK)
    torch.testing.assert_close(Mixed(init)(TOKENS, MASK), expected, atol=1e-6, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(logit=st.floats(-5, 5), seed=st.integers(0, 99))
def test_a_mix_lies_between_mean_and_maximum(logit: float, seed: int) -> None:
    x = torch.randn(1, 2, 4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pool = MixedPool(2).double()
    nn.init.constant_(pool.logit, logit)
    assert (pool(x) <= F.max_pool2d(x, 2) + 1e-12).all()
    assert (pool(x) >= F.avg_pool2d(x, 2) - 1e-12).all()


def test_the_slopes_of_a_mix_are_those_derived_by_hand() -> None:
    pool, x = MixedPool(2, init=0.3).double(), MAP.clone().requires_grad_()
    by_share, by_cell = torch.autograd.grad(pool(x).sum(), (pool.logit, x))
    a = pool.logit.detach().sigmoid()
    torch.testing.assert_close(by_share, (a * (1 - a)) * (F.max_pool2d(MAP, 2) - F.avg_pool2d(MAP, 2)).sum())
    largest = F.max_unpool2d(*F.max_pool2d(torch.ones_like(MAP) * MAP, 2, return_indices=True), 2) != 0
    torch.testing.assert_close(by_cell, a * largest + (1 - a) / 4)


@every_share
def test_a_gate_is_asked_of_its_window(share: Share) -> None:
    pool = made(GatedPool, share)
    weight = pool.spread(pool.gate.weight[0].movedim(-1, 0), MAP).movedim(0, -1)
    gate = (cells(MAP) * weight).sum(-1).sigmoid()
    torch.testing.assert_close(pool(MAP), gate * F.max_pool2d(MAP, 2) + (1 - gate) * F.avg_pool2d(MAP, 2))


def test_a_gate_of_no_weights_mixes_evenly() -> None:
    pool = GatedPool(2).double()
    nn.init.zeros_(pool.gate.weight)
    torch.testing.assert_close(pool(MAP), MixedPool(2).double()(MAP))
    tokens = Gated(5).double()
    nn.init.zeros_(tokens.gate)
    torch.testing.assert_close(tokens(TOKENS, MASK), Mixed().double()(TOKENS, MASK))


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_gate_of_tokens_is_asked_of_their_mean_whatever_their_number(per_channel: bool) -> None:
    torch.manual_seed(0)
    pooler = Gated(5, per_channel=per_channel).double()
    nn.init.normal_(pooler.gate)
    mean = Mean()(TOKENS, MASK)
    gate = (mean @ pooler.gate.T).sigmoid()
    torch.testing.assert_close(pooler(TOKENS, MASK), gate * Max()(TOKENS, MASK) + (1 - gate) * mean)
    torch.testing.assert_close(pooler(TOKENS.repeat(1, 3, 1)), pooler(TOKENS))


@every_share
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_tree_is_what_its_equation_says(levels: int, share: Share) -> None:
    pool = made(TreePool, share, levels=levels)
    weight = pool.spread(pool.filters.weight.movedim(-1, 1), MAP).movedim(1, -1)
    products = (cells(MAP) * weight[:, None]).sum(-1)

    def value(node: int) -> Tensor:
        if node >= 2 ** (levels - 1) - 1:
            return products[node]
        gate = products[node].sigmoid()
        return gate * value(2 * node + 1) + (1 - gate) * value(2 * node + 2)

    torch.testing.assert_close(pool(MAP), value(0))


def test_a_tree_of_equal_leaves_is_a_convolution() -> None:
    pool = made(TreePool, levels=3)
    leaf = torch.tensor([0.5, -1.0, 2.0, 0.1], dtype=torch.float64)
    pool.leaves.data[:] = leaf
    expected = F.conv2d(MAP, leaf.view(1, 1, 2, 2).expand(3, 1, 2, 2), stride=2, groups=3)
    torch.testing.assert_close(pool(MAP), expected)


def test_a_tree_whose_leaves_take_the_mean_is_the_mean_whatever_its_gates() -> None:
    pool = made(TreePool, levels=3)
    pool.leaves.data[:] = 0.25
    torch.testing.assert_close(pool(MAP), F.avg_pool2d(MAP, 2))
    assert (TreePool(2)(MAP) - F.avg_pool2d(MAP, 2)).abs().max() < 0.2


def test_a_tree_of_two_cells_becomes_the_maximum() -> None:
    x = MAP.flatten(2)
    pool = TreePool(2, axes=1).double()
    pool.leaves.data[:] = torch.eye(2, dtype=torch.float64).view(2, 1, 1, 2)
    pool.gates.data[:] = torch.tensor([1.0, -1.0], dtype=torch.float64).view(1, 1, 1, 2) * 50
    apart = (x[..., 0::2] - x[..., 1::2]).abs() > 0.5
    torch.testing.assert_close(pool(x)[apart], F.max_pool1d(x, 2)[apart])


def test_a_tree_has_as_many_weights_as_the_paper_counts() -> None:
    assert sum(weight.numel() for weight in TreePool(3).parameters()) == 3 * 9
    assert sum(weight.numel() for weight in TreePool(3, levels=3).parameters()) == 7 * 9
    assert sum(weight.numel() for weight in GatedPool(3).parameters()) == 9
    assert sum(weight.numel() for weight in made(TreePool, "channel").parameters()) == 3 * 3 * 4
    assert sum(weight.numel() for weight in made(GatedPool, "region_channel").parameters()) == 3 * 12 * 4


@every_kind
@every_share
def test_the_gradient_is_the_derivative(kind: type, share: Share) -> None:
    pool = made(kind, share)
    names = [name for name, _ in pool.named_parameters()]

    def out(x: Tensor, *weights: Tensor) -> object:
        return torch.func.functional_call(pool, dict(zip(names, weights, strict=True)), (x,))

    weights = [weight.detach().clone().requires_grad_() for weight in pool.parameters()]
    assert torch.autograd.gradcheck(out, (MAP[:1].clone().requires_grad_(), *weights), fast_mode=True)


@every_kind
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_windows_beyond_the_border_read_what_is_there(kind: type, axes: int) -> None:
    x = torch.rand(1, 1, *(5, 4, 4)[:axes], dtype=torch.float64) + 1
    given = {} if kind is MixedPool else {"axes": axes}
    pool = kind(3, 2, 1, **given).double()
    corner = x[(0, 0, *[slice(0, 2)] * axes)]
    expected = (corner.max() + corner.mean()) / 2
    if kind is TreePool:
        pool.leaves.data[:] = 3.0**-axes
        expected = corner.sum() / 3**axes
    else:
        nn.init.zeros_(next(pool.parameters()))
    torch.testing.assert_close(pool(x).flatten()[0], expected)


@every_kind
@every_share
def test_a_configuration_builds_it_again(kind: type, share: Share) -> None:
    pool = made(kind, share)
    config = json.loads(json.dumps(registry.config(pool)))
    again = registry.build(config).double()
    again.load_state_dict(pool.state_dict())
    assert torch.equal(again(MAP), pool(MAP))


@every_kind
def test_half_types_are_pooled_in_fp32(kind: type) -> None:
    pool = made(kind).float()
    expected = pool(MAP.bfloat16().float()).bfloat16()
    out = pool(MAP.bfloat16())
    assert torch.equal(out, expected)


@every_kind
def test_torch_compiles_it_whole(kind: type) -> None:
    torch._dynamo.reset()
    pool = made(kind)
    torch.testing.assert_close(torch.compile(pool, backend="eager", fullgraph=True)(MAP), pool(MAP))


@every_kind
def test_maps_the_weights_are_not_made_for_are_refused(kind: type) -> None:
    with pytest.raises(ValueError, match=r"x has \(2, 4\) windows; .* was made for \(3, 4\)"):
        made(kind, "region")(MAP[:, :, :5])
    with pytest.raises(ValueError, match="x has 2 channels; .* was made for 3"):
        made(kind, "channel")(MAP[:, :2])
    with pytest.raises(ValueError, match="one to three axes of space"):
        made(kind)(MAP[0, 0])
    with pytest.raises(TypeError, match="x must hold floats"):
        made(kind)(MAP.long())


@every_kind
def test_sizes_that_are_needed_are_asked_for(kind: type) -> None:
    with pytest.raises(ValueError, match="share='channel' needs channels"):
        kind(2, share="channel")
    with pytest.raises(ValueError, match="share='region' needs out_size"):
        kind(2, share="region")
    with pytest.raises(ValueError, match="share must be layer, channel, region or region_channel"):
        kind(2, share="all")
    with pytest.raises(ValueError, match="kernel must be at least 1"):
        kind(0)


@pytest.mark.parametrize("init", [0.0, 1.0, -1.0, math.nan])
def test_a_share_that_training_could_not_leave_is_refused(init: float) -> None:
    for kind in (Mixed, lambda init: MixedPool(2, init=init)):
        with pytest.raises(ValueError, match="init must be between 0 and 1"):
            kind(init)


def test_a_tree_has_levels_and_weights_have_axes() -> None:
    with pytest.raises(ValueError, match="levels must be at least 1"):
        TreePool(2, levels=0)
    with pytest.raises(ValueError, match="x has 1 axes of space; this TreePool was made with axes=2"):
        TreePool(2)(MAP.flatten(2))
