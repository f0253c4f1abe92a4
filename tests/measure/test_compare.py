"""Comparing end to end, over collections that need no model."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from simple_systems import Sizes, Words

from cenote.data.base import Document
from cenote.encode import Overflow
from cenote.errors import RecipeError
from cenote.measure import compare, plan
from cenote.measure.metered import Metered
from cenote.measure.planning import recipes_of
from cenote.measure.sharing import encode_once
from cenote.recipe import Chain

TEXTS = {f"d{i}.txt": f"word{i} word{i + 1} word{i + 2} common" for i in range(40)}


@dataclass
class Shelf(Words):
    """A collection whose recipe decides how much of each text it reads; `pca` fails as a real stage does."""

    path: Path = field(default_factory=Path.cwd)
    size: float = 400.0
    built: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def info(self) -> Sizes:
        return Sizes(self.size, self.size / 2, self.size * 2)

    def get(self, ids: list[str]) -> list[Document]:
        return [Document(id, self.documents[id]) for id in ids]

    def reindex(self, recipe: str, out: Path, *, cache: Metered) -> "Shelf":
        self.built.append(recipe)
        if "pca" in recipe:
            raise RecipeError("pca wants more passages")
        Path(out).mkdir()
        (Path(out) / "recipe").write_text(recipe)
        words = 1 if "binary" in recipe else 4
        documents = {id: " ".join(text.split()[:words]) for id, text in self.documents.items()}
        return Shelf(documents, Path(out), 50.0 * words, closed=self.closed)

    def close(self) -> None:
        self.closed.append(str(self.path))


@pytest.fixture
def questions(tmp_path):
    lines = ["question,document", *(f"word{i + 1} word{i + 2},d{i}" for i in range(40))]
    (tmp_path / "questions.csv").write_text("\n".join(lines))
    return tmp_path / "questions.csv"


GRID = ["minilm", "minilm | {int8, binary, pca 8}"]
EXPANDED = ["minilm", "minilm | int8", "minilm | binary", "minilm | pca 8"]


def test_every_recipe_of_the_grids_is_measured_in_order(questions):
    shelf = Shelf(TEXTS)
    found = compare(shelf, recipes=GRID, questions=questions).to_dict()
    assert [row["recipe"] for row in found["recipes"]] == shelf.built == EXPANDED
    assert [row["error"] is None for row in found["recipes"]] == [True, True, True, False]
    assert "pca wants more passages" in found["recipes"][3]["error"]
    assert found["recipes"][2]["told_apart"] is True
    assert found["recipes"][1]["low"] == found["recipes"][1]["high"] == 0
    assert found["winner"]["recipe"] == "minilm"
    assert "told apart" in found["verdict"] or "score the same" in found["verdict"]
    assert all(row["build_s"] >= 0 and row["ms_per_query"] > 0 for row in found["recipes"][:3])


def test_what_was_built_is_closed_and_removed_and_the_given_collection_stays_open(questions, tmp_path):
    shelf = Shelf(TEXTS)
    compare(shelf, recipes=GRID, questions=questions)
    assert len(shelf.closed) == 3
    assert str(shelf.path) not in shelf.closed
    assert not any(Path(path).exists() for path in shelf.closed)


def test_the_winner_is_kept_where_it_was_asked_for(questions, tmp_path):
    compare(Shelf(TEXTS), recipes=GRID[::-1], questions=questions, keep="best", out=tmp_path / "kept" / "best")
    assert (tmp_path / "kept" / "best" / "recipe").read_text() == "minilm | int8"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["best"]


def test_a_run_of_every_recipe_is_written_where_it_was_asked_for(questions, tmp_path):
    compare(Shelf(TEXTS), recipes=GRID, questions=questions, runs=tmp_path / "runs")
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["001-minilm.run", "002-minilm-int8.run", "003-minilm-binary.run"]


def test_one_seed_gives_one_answer(questions):
    def reported() -> str:
        rows = compare(Shelf(TEXTS), recipes=GRID, questions=questions, seed=3).to_dict()
        return json.dumps([{**row, "build_s": 0, "ms_per_query": 0} for row in rows["recipes"]])

    assert reported() == reported()


def test_progress_names_what_comes_now(questions):
    told: list[tuple[str, int, int, str]] = []
    compare(Shelf(TEXTS), recipes=GRID, questions=questions, progress=lambda *step: told.append(step))
    assert told == [*(("comparing", n, 4, recipe) for n, recipe in enumerate(EXPANDED)), ("comparing", 4, 4, "")]


def test_names_that_match_no_document_stop_the_comparison_before_it_builds(questions, tmp_path):
    (tmp_path / "bad.csv").write_text("question,document\nword1,d1\nword2,e2.txt\n")
    shelf = Shelf(TEXTS)
    with pytest.raises(ValueError, match=r"'e2\.txt': nearest: 'd2\.txt'"):
        compare(shelf, recipes=GRID, questions=tmp_path / "bad.csv")
    assert shelf.built == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"recipes": []}, "recipes is empty"),
        ({"recipes": ["minilm | itn8"]}, "itn8"),
        ({"measure": "ndcg"}, "measure must be one of"),
        ({"margin": -0.1}, "margin must be 0 or more"),
        ({"keep": "best"}, "come together"),
        ({"keep": "all", "out": "x"}, "keep must be 'best'"),
        ({"out": "."}, "come together"),
        ({"keep": "best", "out": "."}, "exists"),
        ({"questions": None}, "`queries` together with `qrels`"),
    ],
)
def test_wrong_arguments_are_sentences(questions, wrong, message):
    with pytest.raises(ValueError, match=message):
        compare(Shelf(TEXTS), **({"recipes": GRID, "questions": questions} | wrong))


def test_the_plan_counts_recipes_and_the_encodings_that_they_share():
    recipes = ["wordllama | {mean, max} | {int8, binary}", "wordllama | mean | int8"]
    found = plan(Shelf(TEXTS), recipes)
    assert (len(found.recipes), found.encodings, found.texts) == (4, 1, 40)
    assert found.seconds > 0
    assert found.sentence().startswith("4 recipes from 1 encoding of 40 documents: about ")


class Slow:
    """An encoder of one number a text."""

    similarity, calls, max_length = "dot", 0, None

    def __init__(self):
        self.report = Overflow()

    def width(self, pool: str | None) -> int:
        return 1

    def fingerprint(self, role: str) -> dict[str, str]:
        return {"weights": "slow", "role": role}

    def encode(self, texts: list[str], role: str, pool: list[str | None], progress: object = None) -> list[np.ndarray]:
        self.calls += 1
        return [np.array([[len(text)] for text in texts], np.float32) for _ in pool]

    def lengths(self, texts: list[str], role: str) -> np.ndarray:
        return np.array([len(text) for text in texts])

    def overhead(self, role: str) -> int:
        return 0


def test_the_meter_counts_what_encoding_cost_whoever_paid_first(tmp_path):
    encoder, meter = Slow(), Metered(tmp_path)
    meter.encode(encoder, [None], ["a", "b"], "document")
    first = meter.cost
    assert first > 0
    meter.reset()
    meter.encode(encoder, [None], ["a", "b"], "document")
    assert encoder.calls == 1
    assert meter.cost == pytest.approx(first)


def test_the_meter_counts_a_text_that_is_read_twice_once(tmp_path):
    meter = Metered(tmp_path)
    meter.encode(Slow(), [None], ["a", "b"], "document")
    first = meter.cost
    meter.encode(Slow(), [None], ["b", "a"], "document")
    assert meter.cost == first


def test_questions_are_encoded_each_time_they_are_asked(tmp_path):
    encoder, meter = Slow(), Metered(tmp_path)
    for _ in range(2):
        (vectors,), _ = meter.encode(encoder, [None], ["why?"], "query")
    assert encoder.calls == 2
    assert vectors.tolist() == [[4.0]]
    assert meter.cost == 0


def test_one_pass_of_the_encoder_serves_every_pooling(tmp_path):
    cache = Metered(tmp_path)
    recipes = recipes_of(["wordllama | {mean, max} | int8", "wordllama | mean"])
    encode_once(Shelf(TEXTS), recipes, cache)
    chain, texts = Chain(recipes[0]), list(TEXTS.values())
    for pool in ("mean", "max"):
        (kept,), _ = cache.encode(Silent(chain.encoder), [pool], texts, "document")
        np.testing.assert_allclose(kept, chain.encoder.encode(texts, "document", pool=pool), atol=1e-6)


class Silent:
    """An encoder that may be asked who it is, and no more."""

    def __init__(self, encoder):
        self.width, self.fingerprint = encoder.width, encoder.fingerprint
        self.max_length, self.report, self.overhead = encoder.max_length, encoder.report, encoder.overhead


class Torn(Shelf):
    """Documents that cannot be read."""

    def get(self, ids: list[str]) -> list[Document]:
        raise OSError("the disk is gone")


def test_sharing_leaves_what_cannot_be_encoded_to_the_recipe_that_asks(tmp_path):
    encode_once(Torn(TEXTS), recipes_of("wordllama | {mean, max}"), Metered(tmp_path))
    assert list(tmp_path.iterdir()) == []
