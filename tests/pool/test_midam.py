"""MIDAM: with whole bags its gradient is that of the objective; with few instances it is the algorithm's; it learns."""

import math
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from cenote.pool.lse import LSE
from cenote.pool.midam import MIDAM, MIDAMLoss, draw_instances
from cenote.pool.mil_attention import MILAttention

WIDTH, TAU = 5, 0.3
POOLINGS = ["smoothmax", "attention"]


class Scorer(nn.Module):
    """Instances to phi, or to delta and g."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention, self.value = MILAttention(WIDTH, 7), nn.Linear(WIDTH, 1)

    def given(self, pooling: str, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The arguments of the loss."""
        more = {"attention": self.attention.scores(x)[..., 0]} if pooling == "attention" else {}
        return self.value(x)[..., 0], more

    def bag(self, pooling: str, x: Tensor, mask: Tensor) -> Tensor:
        """h of whole bags, from the poolers alone."""
        if pooling == "smoothmax":
            return LSE(1 / TAU)(self.value(x), mask)[:, 0]
        return torch.stack([self.value(row) for row in self.attention(x, mask)])[:, 0].sigmoid()


def drawn(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 4, WIDTH, generator=generator, dtype=torch.float64)
    mask = torch.arange(4) < torch.randint(1, 5, (6, 1), generator=generator)
    return x, mask, torch.tensor([0, 1, 1, 0, 0, 1])


def loss_of(pooling: str, bags: int = 6, **given: Any) -> MIDAMLoss:
    loss = MIDAMLoss(bags, pooling, temperature=TAU, **given).double()  # type: ignore[arg-type]
    loss.a.data.fill_(0.7), loss.b.data.fill_(-0.2)
    loss.alpha.fill_(0.6)
    return loss


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("steps", [1, 3])
def test_without_memory_on_whole_bags_the_gradient_is_that_of_the_objective(pooling: str, steps: int) -> None:
    model, loss = Scorer().double(), loss_of(pooling, gamma=1.0, alpha_scale=2)
    for step in range(steps):
        x, mask, labels = drawn(step)
        model.zero_grad(), loss.zero_grad()
        scores, more = model.given(pooling, x)
        loss(scores, labels, torch.arange(6), mask, **more).backward()
    found = [weight.grad.clone() for weight in (*model.parameters(), loss.a, loss.b) if weight.grad is not None]
    model.zero_grad(), loss.zero_grad()
    h = model.bag(pooling, x, mask)
    positive, negative = h[labels == 1], h[labels == 0]
    alpha = loss.alpha
    objective = (positive - loss.a).square().mean() + (negative - loss.b).square().mean()
    objective = objective + 2 * alpha * (loss.margin + negative.mean() - positive.mean()) - alpha.square()
    objective.backward()
    expected = [weight.grad for weight in (*model.parameters(), loss.a, loss.b) if weight.grad is not None]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss.gap, (negative.mean() - positive.mean()).detach())


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("first", ["copy", "mix"])
def test_the_steps_are_those_of_the_algorithm_as_it_is_written(pooling: str, first: str) -> None:
    """The running means as such, without logarithms, in the authors' order."""
    gamma = 0.4
    model, loss = Scorer().double(), loss_of(pooling, 9, gamma=gamma, first=first)
    start = float(pooling == "attention")
    n, d = torch.full((9,), start, dtype=torch.float64), torch.full((9,), start, dtype=torch.float64)
    seen = torch.full((9,), first == "mix")
    for step in range(4):
        x, mask, labels = drawn(step)
        bags = torch.randperm(9, generator=torch.Generator().manual_seed(step))[:6]
        scores, more = model.given(pooling, x)
        model.zero_grad(), loss.zero_grad()
        loss(scores, labels, bags, mask, **more).backward()
        found = [weight.grad.clone() for weight in (*model.parameters(), loss.a, loss.b) if weight.grad is not None]

        scores, more = model.given(pooling, x)
        powers = (more["attention"] if more else scores / TAU).exp() * mask
        below = powers.sum(1) / mask.sum(1)
        above = (powers * scores).sum(1) / mask.sum(1)
        for state, value in ((n, above), (d, below)):
            state[bags] = torch.where(seen[bags], (1 - gamma) * state[bags] + gamma * value.detach(), value.detach())
        seen[bags] = True
        if pooling == "smoothmax":
            h, dh = TAU * d[bags].log(), TAU * below / d[bags]
        else:
            h = (n[bags] / d[bags]).sigmoid()
            dh = h * (1 - h) * (above / d[bags] - n[bags] / d[bags] ** 2 * below)
        p, q, a, b = labels == 1, labels == 0, loss.a, loss.b
        written = (2 * (h - a.detach()) * dh)[p].mean() + (2 * (h - b.detach()) * dh)[q].mean()
        written = written + loss.alpha * (dh[q].mean() - dh[p].mean())
        written = written + (h[p] - a).square().mean() + (h[q] - b).square().mean()
        model.zero_grad(), loss.zero_grad()
        written.backward()
        expected = [weight.grad for weight in (*model.parameters(), loss.a, loss.b) if weight.grad is not None]
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_the_class_means_of_the_scores_are_where_a_and_b_rest() -> None:
    model, loss, (x, mask, labels) = Scorer().double(), loss_of("smoothmax", gamma=1.0), drawn()
    h = model.bag("smoothmax", x, mask).detach()
    loss.a.data.copy_(h[labels == 1].mean()), loss.b.data.copy_(h[labels == 0].mean())
    loss(*model.given("smoothmax", x)[:1], labels, torch.arange(6), mask).backward()
    for rest in (loss.a.grad, loss.b.grad):
        assert rest is not None
        assert abs(rest.item()) < 1e-12


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [300.0, -300.0])
def test_scores_whose_powers_no_float_holds_are_no_problem(pooling: str, size: float) -> None:
    loss = MIDAMLoss(2, pooling, gamma=0.5, temperature=0.1)  # type: ignore[arg-type]
    for shift in (0.0, 5.0, -5.0):
        scores = torch.tensor([[size + shift, size], [size, size + 1]], requires_grad=True)
        more = {"attention": 10 * scores} if pooling == "attention" else {}
        value = loss(scores, torch.tensor([0, 1]), torch.arange(2), **more)
        value.backward()
        assert value.isfinite()
        assert scores.grad is not None
        assert scores.grad.isfinite().all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_instances_that_are_not_there_are_never_read(pooling: str) -> None:
    x, mask, labels = drawn()
    found = []
    for filler in (0.0, math.nan, math.inf):
        model, loss = Scorer().double(), loss_of(pooling)
        scores, more = model.given(pooling, x)
        scores = scores.masked_fill(~mask, filler)
        more = {name: value.masked_fill(~mask, filler) for name, value in more.items()}
        value = loss(scores, labels, torch.arange(6), mask, **more)
        value.backward()
        found.append([value.detach(), *(w.grad for w in model.parameters() if w.grad is not None)])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_the_smoothed_maximum_is_between_the_mean_and_the_maximum_and_the_pooler_lse() -> None:
    x, mask, _ = drawn()
    mean, greatest = (
        torch.stack([getattr(row[kept], name)(0) for row, kept in zip(x, mask, strict=True)])
        for name in ("mean", "amax")
    )
    for tau in (1e-3, 0.1, 1.0, 1e3):
        found = LSE(1 / tau)(x, mask)
        assert (found >= mean - 1e-9).all()
        assert (found <= greatest + 1e-9).all()
        torch.testing.assert_close(LSE(1 / tau)(x + 7, mask), found + 7)
        torch.testing.assert_close(LSE(1 / tau)(x.repeat(1, 3, 1), mask.repeat(1, 3)), found)
    torch.testing.assert_close(LSE(1e3)(x, mask), greatest, rtol=0, atol=2e-3)
    torch.testing.assert_close(LSE(1e-3)(x, mask), mean, rtol=0, atol=2e-3)


def test_the_attention_of_the_loss_is_that_of_the_pooler() -> None:
    pooler, (x, mask, _) = Scorer().double().attention, drawn()
    for row, kept, pooled in zip(x, mask, pooler(x, mask), strict=True):
        weights = pooler.scores(row[kept]).exp()
        torch.testing.assert_close(pooled, (weights * row[kept]).sum(0) / weights.sum())


def test_a_step_is_a_descent_with_memory_and_an_ascent_in_alpha() -> None:
    loss, weight = MIDAMLoss(4, gamma=1.0, margin=1.0), nn.Parameter(torch.tensor([2.0, 0.5]))
    optimiser = MIDAM([weight], loss, lr=0.1, momentum=0.3)
    expected, velocity, alpha = weight.detach().clone(), None, 0.0
    for _ in range(4):
        optimiser.zero_grad()
        loss(weight[:, None], torch.tensor([1, 0]), torch.arange(2)).backward()
        assert weight.grad is not None
        velocity = weight.grad.clone() if velocity is None else 0.3 * velocity + 0.7 * weight.grad
        gap = (weight[1] - weight[0]).item()
        optimiser.step()
        expected = expected - 0.1 * velocity
        alpha = max(0, alpha + 0.1 * (1 + gap - alpha))
        torch.testing.assert_close(weight.detach(), expected)
        assert loss.alpha.item() == pytest.approx(alpha, abs=1e-6)
    assert loss.a != 0
    assert loss.b != 0


def test_instances_are_drawn_once_each_and_all_of_a_small_bag() -> None:
    mask = torch.arange(9) < torch.tensor([9, 3, 1])[:, None]
    times = torch.zeros(3, 9)
    for seed in range(600):
        places, there = draw_instances(mask, 4, generator=torch.Generator().manual_seed(seed))
        assert there.sum(1).tolist() == [4, 3, 1]
        for row, (place, kept) in enumerate(zip(places, there, strict=True)):
            assert len(set(place[kept].tolist())) == int(kept.sum())
            assert mask[row, place[kept]].all()
            times[row, place[kept]] += 1
    # 600 draws of 4 of 9: 267 each, with a standard deviation of 12
    assert (times[0] - 600 * 4 / 9).abs().max() < 50
    assert times[1, :3].tolist() == [600] * 3


@pytest.mark.parametrize("pooling", POOLINGS)
def test_it_learns_which_bags_hold_an_instance_from_a_few_of_them(pooling: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(80, 12, WIDTH, generator=generator), (torch.arange(80) % 2)
    x[:, 0, 0] += 5 * labels  # one instance in twelve says it
    whole = torch.ones(80, 12, dtype=torch.bool)
    model, loss = Scorer(), MIDAMLoss(80, pooling, temperature=TAU, gamma=0.5)  # type: ignore[arg-type]
    optimiser = MIDAM(model.parameters(), loss, lr=0.1 if pooling == "smoothmax" else 1.0, momentum=0.1)
    before = roc_auc_score(labels, model.bag(pooling, x, whole).detach())
    for _ in range(150):
        bags = torch.randperm(80, generator=generator)[:32]
        places, there = draw_instances(whole[bags], 4, generator=generator)
        scores, more = model.given(pooling, x[bags[:, None], places])
        optimiser.zero_grad()
        loss(scores, labels[bags], bags, there, **more).backward()
        optimiser.step()
    after = roc_auc_score(labels, model.bag(pooling, x, whole).detach())
    assert after > max(0.9, before + 0.1)


def test_bad_arguments_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="temperature must be above 0, not 0"):
        MIDAMLoss(3, temperature=0)
    for gamma in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"gamma must lie in \(0, 1\]"):
            MIDAMLoss(3, gamma=gamma)
    with pytest.raises(ValueError, match="bags must be at least 1"):
        MIDAMLoss(0)
    with pytest.raises(ValueError, match="pooling must be smoothmax or attention, not 'max'"):
        MIDAMLoss(3, "max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="first must be copy or mix"):
        MIDAMLoss(3, first="zero")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lr must be above 0"):
        MIDAM([], MIDAMLoss(3), lr=0)
    with pytest.raises(ValueError, match="count must be at least 1"):
        draw_instances(torch.ones(2, 2), 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"labels": torch.tensor([0, 2])}, "labels must be 0 and 1; they reach from 0 to 2"),
        ({"labels": torch.tensor([1, 1])}, "bags of both classes"),
        ({"labels": torch.tensor([0, 1, 1])}, r"labels has shape \(3,\); scores \(2, 3\) need \(2,\)"),
        ({"bags": torch.tensor([0, 3])}, "bags reach from 0 to 3; the loss was made for 0 to 2"),
        ({"bags": torch.tensor([-1, 2])}, "bags reach from -1 to 2"),
        ({"bags": torch.tensor([1, 1])}, "a bag stands twice in one batch"),
        ({"mask": torch.ones(2, 2)}, r"mask has shape \(2, 2\)"),
        ({"mask": torch.tensor([[True] * 3, [False] * 3])}, "has no instance"),
        ({"scores": torch.zeros(2)}, r"scores must have shape \(bags, instances\), not \(2,\)"),
        ({"attention": torch.zeros(2, 3)}, "pooling='smoothmax' takes no attention"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(given: dict[str, Tensor], said: str) -> None:
    fine = {"scores": torch.zeros(2, 3), "labels": torch.tensor([0, 1]), "bags": torch.tensor([0, 2])}
    MIDAMLoss(3)(**fine)
    with pytest.raises(ValueError, match=said):
        MIDAMLoss(3)(**{**fine, **given})
    with pytest.raises(ValueError, match="pooling='attention' needs the scores of the attention"):
        MIDAMLoss(3, "attention")(**fine)
