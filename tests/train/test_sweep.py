"""The sweep of learning rates: it widens until the best lies inside, and goes on where it was interrupted."""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import chain, count, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cenote import Encoder
from cenote.measure.annotated import Pair
from cenote.measure.lesson import Lesson
from cenote.measure.training import School
from cenote.pool.base import Pooler
from cenote.pool.simpool import SimPool
from cenote.recipe import parse
from cenote.train.pooler import Budget, Trained, train
from cenote.train.runs import Run
from cenote.train.sweep import FURTHER, RATES, best_rate, rate_beyond
from cenote.train.tried import Tried


def step(pooler: Pooler, some: Sequence[int]) -> torch.Tensor:
    value = pooler(torch.randn(2, 3, 4)).sum()
    assert isinstance(value, torch.Tensor)
    return value


def swept(liking: Iterable[float], budget: Budget) -> Trained:
    """Train where the dev scores of the rates, in the order in which they are tried, are these."""
    scores = chain([-1.0], liking)
    return train(lambda: SimPool(4), lambda p: (step, None), lambda p: next(scores), 4, budget=budget)


ONE_ROUND = Budget(rounds=1, examples=4, batch=2)


# -- which rate is next


@given(st.dictionaries(st.sampled_from([1e-4, 1e-3, 1e-2, 1e-1, 1.0]), st.integers(0, 3), min_size=1))
def test_the_best_rate_is_one_with_the_highest_score(scores: dict[float, int]) -> None:
    assert scores[best_rate(scores)] == max(scores.values())


@given(st.dictionaries(st.sampled_from([1e-4, 1e-3, 1e-2, 1e-1, 1.0]), st.integers(0, 3), min_size=3))
def test_an_edge_is_best_only_where_nothing_inside_is_as_good(scores: dict[float, int]) -> None:
    inside = max(score for rate, score in scores.items() if min(scores) < rate < max(scores))
    assert (rate_beyond(scores) is None) == (inside == max(scores.values()))


def test_rates_beyond_are_half_a_power_of_ten_further() -> None:
    assert rate_beyond({1e-4: 0, 1e-3: 1, 1e-2: 2}) == 3e-2
    assert rate_beyond({1e-3: 0, 1e-2: 1, 3e-2: 2}) == 1e-1
    assert rate_beyond({1e-4: 2, 1e-3: 1}) == 3e-5
    assert rate_beyond({1e-2: 1}) is None


# -- while training


def test_a_sweep_widens_until_the_best_lies_inside() -> None:
    found = swept([0, 1, 2, 3, 1], ONE_ROUND)
    assert list(found.tried) == [*RATES, 3e-2, 1e-1]
    assert (found.rate, found.inside) == (3e-2, True)


def test_a_sweep_widens_downwards_too() -> None:
    found = swept([3, 2, 1, 2], ONE_ROUND)
    assert list(found.tried) == [*RATES, 3e-5]
    assert (found.rate, found.inside) == (1e-4, True)


def test_a_sweep_ends_and_says_that_the_best_is_the_last_it_tried() -> None:
    found = swept(count(), ONE_ROUND)
    assert len(found.tried) == len(RATES) + FURTHER
    assert (found.rate, found.inside) == (max(found.tried), False)
    assert max(found.tried) == 1.0


def test_rates_that_are_given_are_tried_and_no_other() -> None:
    given = Budget(rates=(0.1, 0.2), rounds=1, examples=4, batch=2)
    found = swept(count(), given)
    assert list(found.tried) == [0.1, 0.2]
    assert (found.rate, found.inside) == (0.2, False)
    single = swept(count(), Budget(rates=(0.3,), rounds=1, examples=4, batch=2))
    assert (single.rate, single.inside) == (0.3, None)


def test_progress_never_goes_back_and_ends_at_all() -> None:
    told: list[tuple[int, int]] = []
    scores = iter([-1.0, 0, 1, 2, 3, 2, 4, 3, 3])
    train(
        lambda: SimPool(4),
        lambda p: (step, None),
        lambda p: next(scores),
        4,
        budget=Budget(rounds=9, examples=4, batch=2),
        progress=lambda done, most: told.append((done, most)),
    )
    assert next(scores, None) is None
    assert all(one <= other for one, other in pairwise(told))
    assert told[-1] == (13, 13)


def test_a_rate_that_breaks_the_weights_is_not_scored() -> None:
    def breaking(pooler: Pooler, some: Sequence[int]) -> torch.Tensor:
        weight = next(iter(pooler.parameters()))
        # finite, and of an infinite slope: the step after it makes weights that are no numbers
        return step(pooler, some) + (weight - weight.detach()).abs().sum().sqrt()

    found = train(lambda: SimPool(4), lambda p: (breaking, None), lambda p: 1.0, 4, budget=ONE_ROUND)
    assert set(found.tried.values()) == {-math.inf}
    assert (found.rate, found.score) == (0.0, 1.0)


# -- interrupted


@pytest.fixture(scope="module")
def wordllama() -> Encoder:
    pytest.importorskip("wordllama")
    return Encoder("wordllama")


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    """Pairs that are alike where they share one of a few words; the others say nothing."""
    things, fillers = ("rain", "bread", "glass", "violin"), ("table", "seven", "walk", "blue", "paper", "quick", "said")
    generator = np.random.default_rng(0)

    def text(thing: str) -> str:
        return " ".join(generator.permutation([*generator.choice(fillers, 6), thing]))

    drawn = generator.choice(things, (120, 2))
    return Lesson.of([Pair(text(a), text(b), float(a == b)) for a, b in drawn], None)


BRIEF = Budget(rounds=3, examples=64, batch=16)


class Stopped(BaseException):
    """What an interrupt is."""


def test_an_interrupted_sweep_goes_on_where_it_was(
    wordllama: Encoder, lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = parse("wordllama | gwap")
    whole = School(wordllama, lesson, budget=BRIEF).train(recipe, tmp_path / "whole")
    assert whole is not None
    rates = whole[1].told["trained"]["rates"]
    assert len(rates) > len(RATES), "the sweep has to widen, or it cannot be interrupted there"

    def stop_after(done: int, most: int) -> None:
        if done == len(RATES) + 1:
            raise Stopped

    with pytest.raises(Stopped):
        School(wordllama, lesson, budget=BRIEF).train(recipe, tmp_path / "parts", stop_after)
    kept = json.loads((tmp_path / "parts.sweep.json").read_text())
    assert len(kept["tried"]) == len(RATES) + 1

    tried: list[float] = []
    put = Tried.__setitem__
    monkeypatch.setattr(Tried, "__setitem__", lambda self, rate, score: tried.append(rate) or put(self, rate, score))
    parts = School(wordllama, lesson, budget=BRIEF).train(recipe, tmp_path / "parts")
    assert parts is not None
    assert tried == [float(rate) for rate in rates if float(rate) not in {rate for rate, _ in kept["tried"]}]
    for name, weight in whole[1].state().items():
        np.testing.assert_array_equal(weight, Run.load(tmp_path / "parts").state()[name])
    one, other = (dict(done[1].told["trained"]) for done in (whole, parts))
    assert one.pop("seconds") > 0
    assert other.pop("seconds") > kept["seconds"]
    assert one == other
    assert {file.name for file in tmp_path.iterdir()} == {"whole", "parts"}


def test_what_another_training_tried_is_not_taken(tmp_path: Path) -> None:
    first = Tried(tmp_path / "x", "a", lambda: 2.0)
    first[1e-3], first[1e-2] = 0.5, -math.inf
    again = Tried(tmp_path / "x", "a", lambda: 1.0)
    assert dict(again) == dict(first)
    assert again.seconds == 3.0
    assert not Tried(tmp_path / "x", "b", lambda: 0.0)
    (tmp_path / "x.sweep.json").write_text('{"key": "a", "tried"')
    assert not Tried(tmp_path / "x", "a", lambda: 0.0)
    again.forget()
    assert not list(tmp_path.iterdir())
