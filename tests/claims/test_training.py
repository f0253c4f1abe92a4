"""What the claims are trained and compared by: rates chosen on dev, pairs of seeds and units, intervals that cover."""

import numpy as np
import pytest
import torch
from torch import nn

from cenote.claims.finding import Figure
from cenote.claims.training import (
    Frozen,
    Runs,
    Trial,
    batches,
    differences,
    fit,
    needed,
    over_seeds,
    over_units,
    sample,
    scores,
    shows,
    together,
    tuned,
)
from cenote.pool.mean import Mean


def test_the_rate_is_the_one_dev_prefers_and_test_has_no_say() -> None:
    dev = {0.1: 1.0, 0.2: 3.0, 0.3: 2.0}
    found = tuned(lambda seed, rate: Trial(dev[rate], 100 * rate + seed), [0.1, 0.2, 0.3], seeds=4)
    assert found.rate == 0.2
    assert found.scores.tolist() == [20.0, 21.0, 22.0, 23.0]
    assert found.units is None


def test_a_sweep_over_several_seeds_takes_their_sum() -> None:
    dev = {(0, 0.1): 5.0, (1, 0.1): 0.0, (0, 0.2): 3.0, (1, 0.2): 3.0}
    calls = []

    def train(seed: int, rate: float) -> Trial:
        calls.append((seed, rate))
        return Trial(dev.get((seed, rate), 0.0), seed, np.array([seed, rate]))

    found = tuned(train, [0.1, 0.2], seeds=3, sweep=2)
    assert found.rate == 0.2
    assert sorted(calls) == [(0, 0.1), (0, 0.2), (0, 1.0), (1, 0.1), (1, 0.2), (1, 1.0), (2, 0.2)]
    assert found.units is not None
    assert found.units.tolist() == [[0, 0.2], [1, 0.2], [2, 0.2]]


@pytest.mark.parametrize("liked", [3e-6, 3e-5, 1e-3, 0.01])
def test_rates_beyond_the_sweep_are_tried_until_the_best_lies_inside(liked: float) -> None:
    tried = []

    def train(seed: int, rate: float) -> Trial:
        tried.append(rate)
        return Trial(-abs(np.log10(rate / liked)), 0.0)

    found = tuned(train, [1e-4, 3e-4], seeds=1)
    assert found.inside
    assert found.rate == pytest.approx(liked)
    assert min(tried) < liked < max(tried)
    assert len(set(tried)) == len(tried)


def test_a_rate_that_is_still_on_the_edge_is_said_to_be_the_last_tried() -> None:
    found = tuned(lambda seed, rate: Trial(rate, rate), [1e-4, 3e-4], seeds=2)
    assert (found.rate, found.inside) == (0.03, False)
    assert scores({"a": found}, "x", "score")[0].name == "score of a, rate 0.03, the last tried"


def test_a_single_rate_is_no_sweep() -> None:
    tried = []

    def train(seed: int, rate: float) -> Trial:
        tried.append(rate)
        return Trial(0.0, 0.0)

    assert tuned(train, [0.1], seeds=2).inside
    assert tried == [0.1, 0.1]


def test_where_several_rates_are_as_good_none_beyond_is_tried() -> None:
    tried = []

    def train(seed: int, rate: float) -> Trial:
        tried.append(rate)
        return Trial(1.0, 0.0)

    assert tuned(train, [1e-4, 3e-4, 1e-3], seeds=1).rate == 3e-4
    assert tried == [1e-4, 3e-4, 1e-3]


def test_what_would_decide_is_told_from_how_wide_the_intervals_are() -> None:
    # half as wide asks for four times as many
    open_ = Figure("score: a less b, over seeds", "x", 0.1, -0.1, 0.3)
    units = Figure("score: a less b, over units", "x", 0.1, -0.05, 0.25)
    near_zero = Figure("score: a less c, over seeds", "x", 0.0001, -0.1, 0.1)
    told = needed(None, [open_, units, near_zero, Figure("score: a less d, over seeds", "x", 0.2, 0.1, 0.3)], seeds=5)
    assert "about 20 seeds (score: a less b, over seeds, x)" in told
    assert "2.2 times the test data (score: a less b, over units, x)" in told
    assert "no number of seeds within reach" in told
    assert "a less d" not in told
    assert needed(True, [open_], seeds=5) == ""


def test_threads_are_put_back_also_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        tuned(lambda seed, rate: Trial(1 / 0, 0), [0.1], seeds=1)
    assert torch.get_num_threads() == before


def _line(seed: int) -> tuple[nn.Linear, float]:
    torch.manual_seed(seed)
    model, x = nn.Linear(3, 1), torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    wanted = x.sum(1, keepdim=True)

    def error() -> float:
        return -float((model(x) - wanted).square().mean())

    best = fit(
        model, lambda rows: (model(x[rows]) - wanted[rows]).square().mean(), error, 200, rate=0.1, steps=150, batch=20,
        seed=seed,
    )  # fmt: skip
    return model, best


def test_fit_learns_a_line_and_leaves_the_model_in_eval_mode() -> None:
    model, best = _line(0)
    assert best > -1e-3
    assert torch.allclose(model.weight, torch.ones(1, 3), atol=0.05)
    assert not model.training


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = (_line(seed)[0].weight for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_fit_keeps_the_weights_that_dev_liked_best() -> None:
    model = nn.Linear(1, 1)
    seen: list[tuple[float, torch.Tensor]] = []

    def dev() -> float:
        seen.append((-float(len(seen) != 1), model.weight.detach().clone()))  # the second check is the best
        return seen[-1][0]

    best = fit(model, lambda rows: model(torch.ones(1, 1)).sum(), dev, 4, rate=0.1, steps=10, batch=2, seed=0)
    assert best == 0
    assert torch.equal(model.weight, seen[1][1])
    assert not torch.equal(model.weight, seen[-1][1])


def test_every_epoch_visits_every_row_once() -> None:
    drawn = batches(10, 4, torch.Generator().manual_seed(0))
    for _ in range(2):
        assert sorted(torch.cat([next(drawn) for _ in range(3)]).tolist()) == list(range(10))


def test_intervals_over_seeds_hold_the_mean_in_about_95_of_100_draws() -> None:
    random = np.random.default_rng(0)
    held = [low < 0 < high for _, low, high in (over_seeds(random.normal(size=4)) for _ in range(1000))]
    assert 0.93 < np.mean(held) < 0.97


def test_intervals_over_units_are_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(0).normal(size=800)
    mean, low, high = over_units(values)
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(800), rel=0.1)


def test_differences_are_paired() -> None:
    # both vary widely from seed to seed and unit to unit, and differ by 1 throughout
    units = np.random.default_rng(0).normal(scale=100, size=(3, 50))
    runs = {"a": Runs(0.1, units.mean(1) + 1, units + 1), "b": Runs(0.1, units.mean(1), units)}
    for one in differences(runs, "a", "b", "x", "score"):
        assert (one.value, one.low, one.high) == pytest.approx((1, 1, 1))


def test_a_claim_shows_only_where_all_intervals_agree() -> None:
    above, below, open_ = (Figure("", "", 0, low, high) for low, high in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)))
    assert shows([above, above]) is True
    assert shows([below, below]) is False
    assert shows([above, open_]) is None
    assert shows([above, below]) is None
    assert together([True, True]) is True
    assert together([True, None]) is None
    assert together([True, None, False]) is False


def test_rows_of_frozen_states_are_cut_out_in_any_order() -> None:
    x, offsets = torch.arange(12.0).view(6, 2), torch.tensor([0, 1, 1, 4, 6])
    states = Frozen(x, offsets)
    taken, cut = states.take(torch.tensor([3, 1, 2, 3]))
    wanted = [x[offsets[row] : offsets[row + 1]] for row in (3, 1, 2, 3)]
    assert torch.equal(taken, torch.cat(wanted))
    assert cut.diff().tolist() == [len(one) for one in wanted]
    assert torch.equal(states.pooled(Mean(), batch=3), Mean().forward_packed(x, offsets))


def test_a_sample_has_no_row_twice() -> None:
    assert sorted(sample(10, 20, seed=3).tolist()) == list(range(10))
    assert sample(1000, 5, seed=1).tolist() != sample(1000, 5, seed=2).tolist()
