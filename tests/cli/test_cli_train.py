"""cenote train: a pooler fitted on texts of one's own."""

from functools import partial
from pathlib import Path

import pytest
from command_line import Cenote

from cenote.train.pooler import Budget

pytest.importorskip("wordllama")
THINGS = (("rain and wind", "weather"), ("bread and salt", "food"))
ROWS = [f"{n} times {text} came;{label}" for n in range(30) for text, label in THINGS]


def written(place: Path, rows: list[str]) -> Path:
    place.write_text("Body;Topic\n" + "\n".join(rows) + "\n")
    return place


TRAIN = ("train", "--recipe", "wordllama | gwap", "--columns", "body,topic", "--rounds", "1", "--json")


def test_a_file_that_is_no_split_is_learnt_from_and_the_run_is_a_recipe(
    cenote: Cenote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cenote.train.pooler.Budget", partial(Budget, examples=64))
    sheet = written(tmp_path / "sheet.csv", ROWS)
    ran = cenote(*TRAIN, "--labels", sheet, "--out", tmp_path / "run")
    assert ran.code == 0
    assert set(ran.json) == {"recipe", "rate", "rate_inside", "rates", "round", "dev", "begun"}
    assert ran.json["rate"] in {0.0, *map(float, ran.json["rates"])}
    assert {file.name for file in tmp_path.iterdir()} == {"sheet.csv", "run"}
    asked = ("compare", "--labels", sheet, "--columns", "body,topic", "--with", ran.json["recipe"], "--json")
    assert cenote(*asked).json["recipes"][0]["error"] is None
    again = cenote(*TRAIN, "--labels", sheet, "--out", tmp_path / "run")
    assert (again.code, "which exists" in again.err) == (2, True)


def test_without_a_train_split_nothing_is_learnt(cenote: Cenote, tmp_path: Path) -> None:
    test = written(tmp_path / "x-test.csv", ROWS)
    ran = cenote(*TRAIN, "--labels", test, "--out", tmp_path / "run")
    assert (ran.code, ran.out) == (2, "")
    assert "has no train split to learn from; it has test" in ran.err
