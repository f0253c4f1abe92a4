"""Intervals hold together as often as they say, and the correction for picking is fair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cenote.measure.bootstrap import bootstrap


def systems(rng, units, means):
    """Scores that share the difficulty of the units, as systems on one test set do."""
    noise = rng.normal(size=(len(means), units)) * np.linspace(0.3, 1.0, len(means))[:, None]
    return np.asarray(means)[:, None] + rng.normal(size=(1, units)) + noise


def test_all_intervals_hold_together_95_times_in_100():
    means = np.linspace(0, 0.3, 5)
    true = means[:, None] - means[None, :]
    trials, held = 400, 0
    for seed in range(trials):
        found = bootstrap(systems(np.random.default_rng(seed), 60, means), resamples=400, seed=seed)
        held += np.all((found.low <= true + 1e-12) & (true <= found.high + 1e-12))
    # three standard errors of 400 trials are 0.033
    assert 0.915 <= held / trials <= 0.985


def test_intervals_of_few_units_are_no_narrower_than_students():
    rng = np.random.default_rng(0)
    half = student = 0.0
    for _ in range(50):
        values = rng.normal(size=(2, 12))
        half += bootstrap(values, resamples=2000).half[0, 1]
        student += 2.201 * (values[0] - values[1]).std(ddof=1) / np.sqrt(12)
    assert half / student == pytest.approx(1.0, abs=0.05)


def test_the_statistic_path_and_the_mean_path_agree():
    values = systems(np.random.default_rng(1), 40, [0, 0.2, 0.4])
    fast = bootstrap(values, resamples=300)
    slow = bootstrap(values, lambda records: float(np.mean(records)), resamples=300)
    np.testing.assert_allclose(fast.half, slow.half, rtol=1e-9)
    assert fast.corrected == pytest.approx(slow.corrected)


def test_a_statistic_of_pairs_is_resampled_by_unit():
    rng = np.random.default_rng(2)
    gold = rng.normal(size=(1, 80))
    predicted = gold + rng.normal(size=(2, 80)) * np.array([[0.2], [3.0]])
    values = np.stack([predicted, np.broadcast_to(gold, predicted.shape)], axis=2)
    found = bootstrap(values, lambda records: float(np.corrcoef(records.T)[0, 1]), resamples=300)
    assert found.winner == 0
    assert found.told_apart[0, 1]


def test_identical_systems_have_no_interval_and_are_never_told_apart():
    one = np.random.default_rng(3).random(50)
    found = bootstrap(np.stack([one, one, one + 0.1]), resamples=500)
    assert found.identical[0, 1]
    assert found.half[0, 1] == 0.0
    assert not found.told_apart[0, 1]


def test_the_same_gain_on_every_unit_is_told_apart():
    one = np.random.default_rng(4).random(50)
    found = bootstrap(np.stack([one, one + 0.01]), resamples=500)
    assert found.told_apart[0, 1]
    assert found.low[1, 0] == pytest.approx(0.01)


def test_an_obvious_difference_is_told_apart():
    rng = np.random.default_rng(5)
    found = bootstrap(np.stack([rng.random(50), 2 + rng.random(50)]), resamples=1000)
    assert found.winner == 1
    assert found.told_apart[0, 1]
    assert found.low[1, 0] > 1.5
    assert list(found.not_worse(0.01)) == [False, True]


@given(st.integers(2, 6), st.integers(10, 40), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_difference_reads_the_same_from_both_sides(count, units, seed):
    values = np.random.default_rng(seed).random((count, units)).round(1)
    found = bootstrap(values, resamples=100, seed=seed)
    np.testing.assert_array_equal(found.low, -found.high.T)
    np.testing.assert_array_equal(found.told_apart, found.told_apart.T)
    assert not found.told_apart.diagonal().any()
    assert found.not_worse(0.01)[found.winner]


def test_one_seed_gives_one_answer():
    values = systems(np.random.default_rng(6), 30, [0, 0.1, 0.2])
    one, same, other = (bootstrap(values, resamples=500, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.half, same.half)
    assert one.corrected == same.corrected != other.corrected


def test_more_units_narrow_the_intervals_as_the_advice_says():
    rng = np.random.default_rng(7)
    few = bootstrap(systems(rng, 100, [0, 0.1]), resamples=4000)
    needed = few.questions_needed(0, 1, margin=0.05)
    wanted = max(abs(few.difference[0, 1]), 0.05)
    many = bootstrap(systems(rng, 100 + needed, [0, 0.1]), resamples=4000)
    assert many.half[0, 1] == pytest.approx(wanted, rel=0.25)


def test_what_is_settled_needs_no_more_units():
    rng = np.random.default_rng(8)
    found = bootstrap(np.stack([rng.random(50), 2 + rng.random(50)]), resamples=500)
    assert found.questions_needed(0, 1, margin=0.01) == 0


def test_the_winner_of_equals_is_corrected_to_what_it_is_worth():
    lucky, corrected = [], []
    for seed in range(150):
        values = np.random.default_rng(seed).normal(size=(10, 40))
        found = bootstrap(values, resamples=200, seed=seed)
        lucky.append(found.scores[found.winner])
        corrected.append(found.corrected)
    # ten systems that are all worth 0: the best of them looks like 0.24
    assert np.mean(lucky) > 0.2
    assert abs(np.mean(corrected)) < 0.03


def test_a_winner_that_is_clear_keeps_its_score():
    rng = np.random.default_rng(9)
    found = bootstrap(np.stack([rng.random(60), 1 + rng.random(60)]), resamples=2000)
    assert found.corrected == pytest.approx(found.scores[1], abs=0.01)


def test_the_blocks_that_bound_memory_change_nothing(monkeypatch):
    values = systems(np.random.default_rng(10), 50, [0, 0.1, 0.2, 0.3])
    whole = bootstrap(values, resamples=500)
    monkeypatch.setattr("cenote.measure.bootstrap._CELLS", 1000)
    parts = bootstrap(values, resamples=500)
    np.testing.assert_allclose(whole.half, parts.half, rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 9)), "9 units are too few"),
        (np.zeros((0, 20)), "at least one system"),
        (np.full((2, 20), np.nan), "finite"),
    ],
)
def test_records_that_allow_no_verdict_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(values)
