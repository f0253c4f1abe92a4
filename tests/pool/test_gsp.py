"""Generalised sum pooling: the closed form solves the transport problem, and the loss is ridge regression."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cenote.pool.gsp import GSP
from cenote.pool.k_centre import greedy_k_centre
from cenote.pool.max import Max
from cenote.pool.mean import Mean
from cenote.pool.partial_transport import given_away
from cenote.pool.zero_shot import ZeroShotPrediction

B, N, D, W, M = 4, 9, 6, 5, 7


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens (B, N, D) and a mask with gaps."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(B, N, generator=generator) < 0.6
    mask[:, 3] = True
    return torch.randn(B, N, D, generator=generator, dtype=torch.float64), mask


def made(**given: object) -> GSP:
    """The pooler with seeded weights."""
    torch.manual_seed(0)
    return GSP(D, W, M, **given).double()  # type: ignore[arg-type]


def costs(pooler: GSP, x: Tensor) -> Tensor:
    """(n, M): how far each token's embedding is from each prototype, in the unit ball."""
    ball = [v / v.norm(dim=1, keepdim=True).clamp(min=1) for v in (pooler.embed(x), pooler.centres)]
    return (ball[0][:, None] - ball[1]).norm(dim=-1)


def plan(pooler: GSP, x: Tensor) -> tuple[Tensor, Tensor]:
    """The transport plan (n, M) and the mass that stays (n,), by the closed form."""
    kernel = -pooler.gamma * costs(pooler, x)
    affinity, everything = kernel.logsumexp(1)[None], torch.ones(1, len(x), dtype=torch.bool)
    given = given_away(affinity, everything, pooler.mu, 2 * pooler.gamma)[0]
    return (given / len(x))[:, None] * kernel.softmax(1), (1 - given) / len(x)


def scaled(cost: Tensor, mu: float, gamma: float, rounds: int = 100) -> tuple[Tensor, Tensor]:
    """The same by scaling: the masses that stay and the factor of what goes, each from the other, again and again."""
    kernel, factor = torch.exp(-gamma * cost), torch.tensor(mu)
    for _ in range(rounds):
        stays = 1 / len(cost) / (1 + factor * kernel.sum(1))
        factor = mu / (stays * kernel.sum(1)).sum()
    return factor * kernel * stays[:, None], stays


@pytest.mark.parametrize("mu", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("gamma", [0.1, 5.0, 20.0])
def test_the_closed_form_is_the_limit_of_scaling(mu: float, gamma: float) -> None:
    x, _ = batch()
    pooler = made(mu=mu, gamma=gamma)
    ours, peer = plan(pooler, x[0]), scaled(costs(pooler, x[0]), mu, gamma, rounds=5000)
    torch.testing.assert_close(ours[0], peer[0], rtol=0, atol=1e-7)
    torch.testing.assert_close(ours[1], peer[1], rtol=0, atol=1e-7)


@pytest.mark.parametrize("mu", [0.05, 0.3, 0.9])
def test_the_closed_form_equals_sinkhorn_with_a_bin_for_what_stays(mu: float) -> None:
    ot = pytest.importorskip("ot")
    x, _ = batch()
    pooler = made(mu=mu)
    goes, _ = plan(pooler, x[0])
    # prototypes receive what they will in GSP: their marginal is the solution's
    target = np.append(goes.sum(0).detach().numpy(), 1 - mu)
    cost = np.pad(costs(pooler, x[0]).detach().numpy(), ((0, 0), (0, 1)))
    peer = ot.sinkhorn(np.full(N, 1 / N), target, cost, 1 / pooler.gamma, stopThr=1e-12, numItermax=10_000)
    np.testing.assert_allclose(goes.detach().numpy(), peer[:, :-1], atol=1e-6)


def test_the_plan_meets_its_constraints_and_is_stationary() -> None:
    x, _ = batch()
    pooler = made()
    goes, stays = plan(pooler, x[0])
    torch.testing.assert_close(stays + goes.sum(1), torch.full((N,), 1 / N, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(goes.sum(), torch.tensor(0.3, dtype=torch.float64), rtol=0, atol=1e-12)
    # the gradient of the objective in pi less that in rho is one multiplier, that of the total
    multiplier = costs(pooler, x[0]) + (goes.log() - stays.log()[:, None]) / pooler.gamma
    torch.testing.assert_close(multiplier, multiplier[0, 0].expand(N, M), rtol=0, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    spread=st.sampled_from([0.0, 0.3, 4.0, 60.0, 1000.0]),
    mu=st.floats(1e-4, 1, exclude_max=False),
    shape=st.sampled_from([1, 20]),
)
def test_the_shares_given_have_the_mean_they_must(seed: int, spread: float, mu: float, shape: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    affinity = spread * torch.rand(B, N, generator=generator, dtype=torch.float64) ** shape
    mask = torch.rand(B, N, generator=generator) < 0.5
    mask[:, 0] = True
    share = given_away(affinity, mask, mu, spread)
    assert ((share >= 0) & (share <= 1) & ((share == 0) | mask)).all()
    mean = share.sum(1) / mask.sum(1)
    torch.testing.assert_close(mean, torch.full_like(mean, mu), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tokens", [2, 10, 37])
def test_where_the_root_may_lie_anywhere_far_tokens_are_told_apart(tokens: int, dtype: torch.dtype) -> None:
    for near in range(1, tokens):
        affinity = (torch.arange(tokens) < near).to(dtype)[None].mul(1000).requires_grad_()
        share = given_away(affinity, torch.ones(1, tokens, dtype=torch.bool), near / tokens, 1000)
        torch.testing.assert_close(share, affinity / 1000)
        share.square().sum().backward()
        assert affinity.grad is not None
        assert (affinity.grad.abs() < 1e-6).all()


def test_the_gradient_of_the_closed_form_is_that_of_unrolled_scaling() -> None:
    x, _ = batch()
    pooler = made()
    weighting = torch.randn(N, M, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cost = costs(pooler, x[0]).detach().requires_grad_()
    kernel = -5 * cost
    given = given_away(kernel.logsumexp(1)[None], torch.ones(1, N, dtype=torch.bool), 0.3, 10)[0]
    ours = torch.autograd.grad((weighting * kernel.softmax(1) * given[:, None] / N).sum(), cost)[0]
    peer = torch.autograd.grad((weighting * scaled(cost, 0.3, 5.0, rounds=400)[0]).sum(), cost)[0]
    torch.testing.assert_close(ours, peer, rtol=1e-6, atol=1e-9)


def test_it_equals_its_equation_row_by_row() -> None:
    x, mask = batch()
    pooler = made()
    for i in range(B):
        tokens = x[i][mask[i]]
        _, stays = plan(pooler, tokens)
        weight = (1 - len(tokens) * stays) / 0.3
        torch.testing.assert_close(pooler(x, mask)[i], (weight[:, None] * pooler.embed(tokens)).mean(0))
        torch.testing.assert_close(pooler(x, mask, return_weights=True)[1][i][mask[i]], weight / len(tokens))


@pytest.mark.parametrize("reduce", ["max", "gem"])
def test_tokens_may_be_reduced_before_they_are_embedded(reduce: str) -> None:
    x, mask = batch()
    pooler = made(reduce=reduce)
    _, weights = pooler(x, mask, return_weights=True)
    scaled_tokens = weights[:, :, None] * mask.sum(1)[:, None, None] * x.masked_fill(~mask[:, :, None], 0)
    if reduce == "max":
        expected = Max()(scaled_tokens, mask)
    else:
        expected = Mean()(scaled_tokens.clamp(min=1e-6) ** 3, mask) ** (1 / 3)
    torch.testing.assert_close(pooler(x, mask), pooler.embed(expected))


@pytest.mark.parametrize("reduce", ["max", "gem"])
def test_other_reductions_are_masked_packed_and_differentiable_too(reduce: str) -> None:
    x, mask = batch()
    mask[2] = False
    pooler = made(reduce=reduce)
    spoilt = x.masked_fill(~mask[:, :, None], torch.nan).requires_grad_()
    out = pooler(spoilt, mask)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])
    torch.testing.assert_close(pooler.forward_packed(x[mask], offsets), out)
    out.square().sum().backward()
    assert spoilt.grad is not None
    assert (spoilt.grad[~mask] == 0).all()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in pooler.parameters())
    assert torch.autograd.gradcheck(lambda x: pooler(x, mask), x.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("given", [{"mu": 1.0}, {"gamma": 0.0}, {"gamma": 0.0, "mu": 0.01}])
def test_without_a_choice_to_make_it_is_the_mean(given: dict[str, float]) -> None:
    x, mask = batch()
    pooler = made(**given)
    torch.testing.assert_close(pooler(x, mask), Mean()(pooler.embed(x), mask))


def test_weights_have_mean_one_and_a_greatest_value() -> None:
    x, mask = batch()
    weights = made()(x, mask, return_weights=True)[1] * mask.sum(1, keepdim=True)
    torch.testing.assert_close(weights.sum(1), mask.sum(1).double())
    assert (weights >= 0).all()
    assert (weights <= 1 / 0.3).all()


def test_a_token_far_from_every_prototype_hardly_counts() -> None:
    pooler = made(gamma=60.0)
    with torch.no_grad():
        pooler.embed.weight.copy_(torch.eye(D, dtype=torch.float64)[:W])
        pooler.embed.bias.zero_()
        pooler.centres.copy_(torch.eye(W, dtype=torch.float64)[:1].expand(M, W))
    x = torch.zeros(1, N, D, dtype=torch.float64)
    x[0, :3, 0], x[0, 3:, 1] = 1, 1  # a third near the prototypes, mu = 0.3
    weights = pooler(x, return_weights=True)[1]
    assert weights[0, :3].sum() > 1 - 1e-6


def test_attributes_are_a_histogram_of_the_prototypes() -> None:
    x, mask = batch()
    pooler = made()
    found = pooler.attributes(x.masked_fill(~mask[:, :, None], torch.nan), mask)
    torch.testing.assert_close(found.sum(1), torch.ones(B, dtype=torch.float64))
    torch.testing.assert_close(found, torch.stack([plan(pooler, x[i][mask[i]])[0].sum(0) / 0.3 for i in range(B)]))
    mask[2] = False
    assert (pooler.attributes(x, mask)[2] == 0).all()


def test_prototypes_may_begin_at_points_far_from_each_other() -> None:
    pooler, points = made(), torch.randn(30, W, dtype=torch.float64)
    pooler.init_prototypes(points)
    assert torch.equal(pooler.centres, points[greedy_k_centre(points, M)])
    with pytest.raises(ValueError, match="k must be at least 1 and at most the number of points, 3, not 7"):
        pooler.init_prototypes(points[:3])


@pytest.mark.parametrize("seed", range(5))
def test_greedy_centres_are_within_twice_the_least_possible_distance(seed: int) -> None:
    points = torch.randn(9, 2, generator=torch.Generator().manual_seed(seed))
    distances = torch.cdist(points, points)
    chosen = greedy_k_centre(points, 3)
    best = min(distances[list(some)].amin(0).max() for some in itertools.combinations(range(9), 3))
    assert len(set(chosen.tolist())) == 3
    assert distances[chosen].amin(0).max() <= 2 * best


def halves(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Attributes (8, M) and labels of which the first half knows no class of the second."""
    generator = torch.Generator().manual_seed(seed)
    attributes = torch.rand(8, M, generator=generator, dtype=torch.float64).softmax(1)
    return attributes, torch.tensor([0, 0, 2, 2, 1, 1, 3, 4])


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_the_loss_is_the_cross_entropy_of_what_ridge_regression_predicts(margin: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    attributes, labels = halves()
    torch.manual_seed(0)
    loss = ZeroShotPrediction(W, 5, margin=margin).double()
    classes, z, y = loss.classes.detach().numpy(), attributes.numpy(), labels.numpy()
    each = []
    for seen, unseen in ((slice(4, 8), slice(0, 4)), (slice(0, 4), slice(4, 8))):
        peer = linear_model.Ridge(alpha=0.05, fit_intercept=False).fit(z[seen], classes[y[seen]])
        scores = peer.predict(z[unseen]) @ classes.T
        scores[np.arange(4), y[unseen]] -= margin
        logits = 9.5 * scores
        each += list(np.log(np.exp(logits).sum(1)) - logits[np.arange(4), y[unseen]])
    assert loss(attributes, labels).item() == pytest.approx(np.mean(each), rel=1e-8)


def test_the_loss_reaches_attributes_and_classes_and_falls() -> None:
    attributes, labels = halves()
    torch.manual_seed(0)
    loss = ZeroShotPrediction(W, 5).double()
    raw = attributes.log().requires_grad_()
    optimiser = torch.optim.Adam([raw, loss.classes], lr=0.05)
    values = []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(raw.softmax(1), labels)
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < values[0] / 2


def test_halves_may_differ_by_one_row() -> None:
    attributes, labels = halves()
    assert ZeroShotPrediction(W, 5).double()(attributes[1:], labels[1:]).isfinite()


def test_halves_that_share_a_class_are_refused_with_the_classes() -> None:
    attributes, _ = halves()
    loss = ZeroShotPrediction(W, 5).double()
    with pytest.raises(ValueError, match=r"both halves of the batch hold the classes \[1, 3\]"):
        loss(attributes, torch.tensor([0, 1, 2, 3, 1, 1, 3, 4]))
    with pytest.raises(ValueError, match=r"both halves of the batch hold the classes \[2\]"):
        loss(attributes, torch.full((8,), 2))


@pytest.mark.parametrize("labels", [[0, 0, 2, 2, 1, 1, 3, 5], [0, 0, 2, 2, 1, 1, 3, -1]])
def test_class_numbers_that_are_none_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="labels must be from 0 to 4"):
        ZeroShotPrediction(W, 5).double()(halves()[0], torch.tensor(labels))


def test_a_batch_of_other_shapes_is_refused() -> None:
    attributes, labels = halves()
    loss = ZeroShotPrediction(W, 5).double()
    for z, y in ((attributes, labels[1:]), (attributes[:1], labels[:1]), (attributes[0], labels)):
        with pytest.raises(ValueError, match="do not belong together"):
            loss(z, y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mu": 0.0}, "mu must be above 0 and at most 1, not 0.0"),
        ({"mu": 1.1}, "mu must be above 0 and at most 1, not 1.1"),
        ({"gamma": -1.0}, "gamma must be at least 0 and finite, not -1.0"),
        ({"gamma": float("inf")}, "gamma must be at least 0 and finite, not inf"),
        ({"prototypes": 0}, "prototypes must be at least 1, not 0"),
        ({"width": 0}, "width must be at least 1, not 0"),
        ({"reduce": "sum"}, "reduce must be mean, max or gem, not 'sum'"),
    ],
)
def test_what_makes_no_pooler_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GSP(D, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("classes", 0), ("ridge", 0.0), ("scale", -1.0)])
def test_what_makes_no_loss_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        ZeroShotPrediction(**{"width": 2, "classes": 2, name: value})  # type: ignore[arg-type]
