"""The verdict says what the intervals say, in words that can be read aloud."""

import numpy as np
import pytest

from cenote.measure.bootstrap import bootstrap
from cenote.measure.verdict import Contender, Failure, verdict


def speak(values, sizes=None, failures=(), margin=0.01, units=None):
    values = np.asarray(values, dtype=float)
    count, found = len(values), None
    units = values.shape[1] if units is None and count else units or 0
    if count and units >= 10:
        found = bootstrap(values, resamples=2000)
    sizes = [100.0] * count if sizes is None else sizes
    contenders = [Contender(name, size) for name, size in zip("ABCDEFGH", sizes, strict=False)]
    scores = [float(row.mean()) for row in values]
    return verdict(contenders, failures, found, units=units, margin=margin, measure="nDCG@10", scores=scores)


@pytest.fixture
def questions():
    return np.random.default_rng(0).random(50)


def noisy(questions, gain, seed):
    return questions + gain + 0.15 * np.random.default_rng(seed).normal(size=len(questions))


def test_one_recipe_has_nothing_to_be_compared_with(questions):
    said = speak([questions])
    assert said == f'"A" has nDCG@10 {questions.mean():.3f} on 50 questions; there is nothing to compare it with.'


def test_recipes_that_cannot_be_told_apart_come_with_what_the_smaller_one_may_lose_and_what_would_settle_it(questions):
    said = speak([noisy(questions, 0.03, 1), noisy(questions, 0, 2), noisy(questions, -1, 3)], [1200, 100, 50])
    sentences = said.split(". ")
    assert sentences[0] == '"A" and "B" cannot be told apart on these 50 questions'
    assert sentences[1].startswith('"B" is 12 times smaller than "A" and loses at most 0.')
    assert sentences[2].endswith('"C" is worse')
    assert sentences[3].startswith("Judge about ")
    assert sentences[3].endswith('more to separate "A" from "B".')


def test_what_is_lost_at_most_is_the_end_of_the_interval_rounded_up(questions):
    values = np.stack([noisy(questions, 0.03, 1), noisy(questions, 0, 2)])
    said = speak(values, [1200, 100])
    stated = float(said.split("at most ")[1].split(" ")[0].rstrip("."))
    most = -bootstrap(values, resamples=2000).low[1, 0]
    assert most <= stated <= most + 0.011


def test_a_clear_winner_is_named_with_its_lead(questions):
    said = speak([questions + 2, questions + 1, questions], [100, 10, 100])
    assert said.startswith(
        '"A" is better than each of the other 2 on these 50 questions; "B" is next, by 1.000 nDCG@10'
    )
    assert said.endswith('"B" is 10 times smaller.')


def test_identical_recipes_are_called_so_and_the_smaller_is_pointed_out(questions):
    said = speak([questions, questions], [300, 100])
    assert said == (
        '"A" and "B" score the same on every one of these 50 questions. '
        '"B" is 3 times smaller than "A" and loses nothing.'
    )


def test_few_questions_give_no_verdict():
    said = speak(np.random.default_rng(0).random((2, 7)))
    assert said == "7 questions cannot tell recipes apart: judge at least 10, 3 more, for a verdict."


def test_what_did_not_run_says_why(questions):
    said = speak([questions], failures=[Failure("minilm | pca 900", "pca wants 900 documents\n  and a place")])
    assert said.endswith('"minilm | pca 900" did not run: pca wants 900 documents.')


def test_nothing_that_ran_is_said_so():
    assert speak(np.zeros((0, 0)), failures=[Failure("A", "no.")]) == 'No recipe ran. "A" did not run: no.'


def test_many_recipes_are_counted_instead_of_named(questions):
    said = speak([noisy(questions, 0, seed) for seed in range(6)])
    assert said.startswith("6 recipes cannot be told apart on these 50 questions;")


def test_the_winner_that_is_also_the_smallest_is_called_so(questions):
    said = speak([noisy(questions, 0.03, 1), noisy(questions, 0, 2)], [10, 100])
    assert '"A" scores highest and is the smallest of them.' in said


def test_a_name_with_quotes_is_still_ready_to_paste(questions):
    contender = [Contender('"my/model" | flat', 10.0)]
    said = verdict(contender, [], None, units=3, margin=0.01, measure="MAP", scores=[0.5])
    assert said.startswith("""'"my/model" | flat' has MAP 0.500 on 3 questions""")
