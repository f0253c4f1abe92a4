"""AdaPool of windows and its parts: weights near the mean, weights near the maximum, and the way back."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from cenote import registry
from cenote.pool import IDW, AdaUnPool, Dice, ExpAda, ExpAdaPool, Max, Mean, Min, Pooler, SoftPool, Windows
from cenote.pool.dice import dice
from cenote.pool.mixed import mix

MAP = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
MASK = torch.rand(4, 7, generator=torch.Generator().manual_seed(2)) < 0.6
POOLERS = [Dice(), Dice("vector"), IDW(), IDW("l1", 1.0), IDW("huber"), ExpAda().double()]
quick = settings(max_examples=25, deadline=None)


def at(beta: float, **given: object) -> ExpAdaPool:
    """A pool of 3 x 4 windows of 2 x 2 cells with b = beta everywhere, 0 and 1 among them."""
    pool = ExpAdaPool(2, out_size=(3, 4), **given).double()  # type: ignore[arg-type]
    nn.init.constant_(pool.logit, math.inf if beta == 1 else -math.inf if beta == 0 else math.log(beta / (1 - beta)))
    return pool


def cells(x: Tensor) -> Tensor:
    """The 2 x 2 windows as rows of tokens of one channel."""
    return F.unfold(x.flatten(0, 1)[:, None], 2, stride=2).transpose(1, 2)[..., None].flatten(0, 1)


@pytest.mark.parametrize("pooler", POOLERS)
def test_tokens_that_are_alike_are_their_own_pool(pooler: Pooler) -> None:
    x = X[:, :1].expand(4, 7, 5)
    torch.testing.assert_close(pooler(x, MASK), x[:, 0])


@pytest.mark.parametrize("pooler", POOLERS)
@quick
@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3))
def test_the_answer_lies_among_its_tokens(pooler: Pooler, seed: int, scale: float) -> None:
    x = scale * torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = pooler(x)
    assert (y >= Min()(x) - 1e-9 * scale).all()
    assert (y <= Max()(x) + 1e-9 * scale).all()


@pytest.mark.parametrize("similarity", ["channel", "vector"])
def test_weights_by_similarity_are_within_a_square_of_e_of_each_other(similarity: str) -> None:
    s = dice(X, X.mean(1, keepdim=True), similarity, -1)  # type: ignore[arg-type]
    assert s.abs().max() <= 1 + 1e-12
    weights = s.softmax(1)
    assert (weights.amax(1) / weights.amin(1) <= math.e**2 + 1e-9).all()


@pytest.mark.parametrize("similarity", ["channel", "vector"])
@pytest.mark.parametrize("factor", [1e-4, 7.0, 1e5, -1.0])
def test_scale_and_sign_do_not_change_the_weights_by_similarity(similarity: str, factor: float) -> None:
    pooler = Dice(similarity)  # type: ignore[arg-type]
    torch.testing.assert_close(pooler(factor * X, MASK), factor * pooler(X, MASK))


def test_the_similarity_of_nothing_with_nothing_is_none() -> None:
    x = torch.zeros(1, 3, 2, requires_grad=True)
    y = Dice()(x)
    assert (y == 0).all()
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


def test_similarity_of_vectors_gives_all_channels_one_weight() -> None:
    mean = X.mean(1, keepdim=True)
    s = 2 * (X * mean).sum(-1) / (X.square().sum(-1) + mean.square().sum(-1))
    torch.testing.assert_close(Dice("vector")(X), torch.einsum("bn,bnd->bd", s.softmax(1), X))


@pytest.mark.parametrize(
    ("metric", "distance"),
    [
        ("l1", lambda apart: apart.abs().sum(-1)),
        ("l2", lambda apart: apart.square().sum(-1).sqrt()),
        ("huber", lambda apart: torch.where(apart.abs() < 1, apart.square() / 2, apart.abs() - 0.5).sum(-1)),
    ],
)
@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
def test_weights_are_inverse_distances(metric: str, distance: object, power: float) -> None:
    inverse = distance(X - X.mean(1, keepdim=True)) ** -power  # type: ignore[operator]
    pooler = IDW(metric, power)  # type: ignore[arg-type]
    torch.testing.assert_close(pooler.weights(X, MASK | True), inverse / inverse.sum(1, keepdim=True))


def test_tokens_at_the_mean_share_the_weight() -> None:
    x = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [5.0, 1.0], [-5.0, 1.0]]])
    assert IDW().weights(x, torch.ones(1, 4, dtype=torch.bool)).tolist() == [[0.5, 0.5, 0, 0]]


def test_no_share_is_softpool_and_the_whole_is_dice() -> None:
    torch.testing.assert_close(at(0)(MAP), Windows("softpool", 2)(MAP))
    torch.testing.assert_close(at(1)(MAP), Windows("dice", 2)(MAP))
    torch.testing.assert_close(at(1, similarity="vector")(MAP), Windows(Dice("vector"), 2)(MAP))
    torch.testing.assert_close(at(0.3)(MAP), Windows(ExpAda(0.3).double(), 2)(MAP), atol=1e-6, rtol=1e-6)
    tokens = ExpAda(0.3).double()
    mixed = 0.3 * Dice()(X, MASK) + 0.7 * SoftPool()(X, MASK)
    torch.testing.assert_close(tokens(X, MASK), mixed, atol=1e-6, rtol=1e-6)


def test_it_is_the_equation_window_by_window() -> None:
    windows = cells(MAP)[..., 0]
    mean = windows.mean(1, keepdim=True)
    similar = 2 * windows * mean / (windows.square() + mean.square())
    weights = 0.4 * similar.softmax(1) + 0.6 * windows.softmax(1)
    torch.testing.assert_close(at(0.4)(MAP).flatten(), (weights * windows).sum(1))


def test_each_place_has_a_share_of_its_own() -> None:
    pool = at(0.5)
    with torch.no_grad():
        pool.logit[0, 5] = -math.inf
    torch.testing.assert_close(pool(MAP)[:, :, 1, 1], at(0)(MAP)[:, :, 1, 1])
    torch.testing.assert_close(pool(MAP)[:, :, 0], at(0.5)(MAP)[:, :, 0])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_windows_beyond_the_border_read_what_is_there(axes: int) -> None:
    x = torch.rand(1, 1, *(5, 4, 4)[:axes], dtype=torch.float64) + 1
    corner = x[(0, 0, *[slice(0, 2)] * axes)].reshape(1, -1, 1)
    pool = ExpAdaPool(3, 2, 1, share="layer", beta=0.5).double()
    torch.testing.assert_close(pool(x).flatten()[:1], ExpAda(0.5).double()(corner)[0])


def test_the_weights_on_the_map_are_those_of_its_windows() -> None:
    y, weights = at(0.4)(MAP, return_weights=True)
    torch.testing.assert_close(F.avg_pool2d(weights, 2) * 4, torch.ones_like(y))
    torch.testing.assert_close(F.avg_pool2d(weights * MAP, 2) * 4, y)
    assert (weights > 0).all()
    assert (weights < 1).all()


def test_what_is_pooled_and_spread_again_has_the_same_means() -> None:
    y, weights = at(0.4)(MAP, return_weights=True)
    back = AdaUnPool(2)(y, weights)
    assert back.shape == MAP.shape
    torch.testing.assert_close(F.avg_pool2d(back, 2), y)


@pytest.mark.parametrize("size", [(6, 8), (6, 8, 4), (8,)])
def test_an_even_map_comes_back_as_it_was(size: tuple[int, ...]) -> None:
    x = torch.full((1, 2, *size), 3.7, dtype=torch.float64)
    pooled = ExpAdaPool(2, share="layer").double()(x, return_weights=True)
    torch.testing.assert_close(AdaUnPool(2)(*pooled), x)
    # the released way back leaves the number of cells out, and a map of 4 cells a window fades to a quarter
    torch.testing.assert_close(AdaUnPool(2, scale="none")(*pooled), x / 2 ** len(size))


def test_cells_of_no_window_come_back_as_zeros() -> None:
    x = torch.rand(1, 1, 7, 5)
    y, weights = ExpAdaPool((3, 2), share="layer")(x, return_weights=True)
    back = AdaUnPool((3, 2))(y, weights)
    assert back.shape == x.shape
    assert (back[:, :, 6:] == 0).all()
    assert (back[..., 4:] == 0).all()
    assert (back[:, :, :6, :4] != 0).all()


def test_the_released_blend_of_one_mask_cancels_and_ours_does_not() -> None:
    y, weights = at(0.4)(MAP, return_weights=True)
    up = y.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(up * weights + up * (1 - weights), up)
    assert not torch.allclose(AdaUnPool(2)(y, weights), up)


@pytest.mark.parametrize("similarity", ["channel", "vector"])
def test_the_gradient_is_the_derivative_through_the_mean_and_the_share(similarity: str) -> None:
    pool = ExpAdaPool(2, out_size=(2, 2), similarity=similarity).double()  # type: ignore[arg-type]

    def out(x: Tensor, logit: Tensor) -> object:
        y, weights = torch.func.functional_call(pool, {"logit": logit}, (x,), {"return_weights": True})
        return AdaUnPool(2)(y, weights)

    x = MAP[:1, :2, :4, :4].clone().requires_grad_()
    logit = torch.randn(1, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(out, (x, logit), fast_mode=True)


def test_values_whose_powers_overflow_are_pooled() -> None:
    x = 1e4 * torch.ones(1, 1, 2, 2).half()
    assert at(0.5, share="layer").float()(x).item() == 1e4


def test_a_share_never_leaves_its_interval_and_always_has_a_slope() -> None:
    # a parameter that is clamped in the pool has no slope once a step has thrown it out
    pool = ExpAdaPool(2, out_size=(3, 4)).double()
    step = torch.optim.SGD(pool.parameters(), lr=20.0)
    for _ in range(5):
        step.zero_grad()
        pool(MAP).sum().backward()
        step.step()
    _, weights = pool(MAP, return_weights=True)
    assert (weights >= 0).all()
    assert (pool.logit.grad != 0).all()


@pytest.mark.parametrize("module", [ExpAdaPool(2, out_size=(3, 4), beta=0.3), AdaUnPool((2, 2))])
def test_a_configuration_builds_it_again(module: nn.Module) -> None:
    config = json.loads(json.dumps(registry.config(module)))
    again = registry.build(config).double()
    given = at(0.4)(MAP, return_weights=True) if isinstance(module, AdaUnPool) else (MAP,)
    assert torch.equal(again(*given), module.double()(*given))


def test_torch_compiles_it_whole() -> None:
    torch._dynamo.reset()
    pool = at(0.5)
    torch.testing.assert_close(torch.compile(pool, backend="eager", fullgraph=True)(MAP), pool(MAP))


@pytest.mark.parametrize("beta", [-0.1, 0.0, 1.0, 1.5])
def test_a_share_is_between_none_and_all(beta: float) -> None:
    for kind in (ExpAda, lambda beta: ExpAdaPool(2, share="layer", beta=beta)):
        with pytest.raises(ValueError, match="beta must be between 0 and 1"):
            kind(beta)


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x has \(3, 3\) windows"):
        at(0.5)(MAP[..., :6])
    with pytest.raises(TypeError, match="x must hold floats"):
        at(0.5)(MAP.long())
    with pytest.raises(ValueError, match="needs windows side by side"):
        ExpAdaPool(3, 2, share="layer")(MAP, return_weights=True)
    with pytest.raises(ValueError, match="kernel must be at least 1"):
        ExpAdaPool(0, share="layer")
    with pytest.raises(ValueError, match="similarity must be channel or vector"):
        Dice("cosine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metric must be l1, l2 or huber"):
        IDW("cosine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="power must be greater than 0"):
        IDW(power=0)


def test_weights_of_another_map_are_refused() -> None:
    y, weights = at(0.5)(MAP, return_weights=True)
    for other in (weights[:, :, :4], weights[:1], weights[0]):
        with pytest.raises(ValueError, match="weights have shape"):
            AdaUnPool(2)(y, other)
    with pytest.raises(ValueError, match="scale must be count or none"):
        AdaUnPool(2, scale="area")  # type: ignore[arg-type]


def test_the_mean_is_pooled_from_where_all_distances_are_alike() -> None:
    x = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    assert torch.equal(IDW()(x), Mean()(x))


def test_a_clamped_share_as_released_has_no_slope_where_a_sigmoid_has_one() -> None:
    # drawn from N(0, 1) and clamped, half of the released shares start at 0, and those never move
    torch.manual_seed(0)
    most, mean = torch.randn(2, 5, dtype=torch.float64).sort(0, descending=True).values
    drawn = torch.tensor([-0.7, 1.9], dtype=torch.float64, requires_grad=True)
    released = torch.lerp(mean, most, drawn.clamp(0, 1)[:, None]).sum()
    assert torch.equal(torch.autograd.grad(released, drawn)[0], torch.zeros(2, dtype=torch.float64))
    assert (torch.autograd.grad(mix(drawn[:, None], most, mean).sum(), drawn)[0] > 0).all()


def test_windows_begin_where_torchs_do_and_not_half_a_kernel_before_as_released() -> None:
    pool = ExpAdaPool(3, 2, out_size=(3,)).double()
    x = torch.randn(1, 2, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = pool(x)
    assert isinstance(out, torch.Tensor)
    torch.testing.assert_close(out[:, :, :1], ExpAdaPool(3, 2, out_size=(1,)).double()(x[:, :, :3]))
    shifted = ExpAdaPool(3, 2, 1, out_size=(4,)).double()(x)  # from -1, the cell beyond the border left out
    assert isinstance(shifted, torch.Tensor)
    assert not torch.isclose(out[:, :, 0], shifted[:, :, 0]).any()


def test_each_channel_has_weights_of_its_own_where_the_released_map_keeps_the_last_one_alone() -> None:
    pool = ExpAdaPool(2, out_size=(3,)).double()
    x = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, weights = pool(x, return_weights=True)
    assert weights.shape == x.shape
    torch.testing.assert_close(F.avg_pool1d(weights * x, 2) * 2, y)
    released = weights[:, -1:].expand_as(weights)
    assert not torch.isclose(F.avg_pool1d(released * x, 2) * 2, y)[:, :-1].any()
