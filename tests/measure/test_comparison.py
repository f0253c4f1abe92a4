"""What a comparison reports, from records that are given."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from cenote.measure.comparison import Comparison, Result
from cenote.measure.labels import place_labels, short_names
from cenote.measure.plot import frontier
from cenote.measure.task import Records

UNITS = {str(i): f"question {i}" for i in range(30)}
ROW = [
    "recipe", "score", "difference", "low", "high", "told_apart", "not_worse", "bytes_per_document",
    "first_pass_bytes_per_document", "build_s", "ms_per_query", "error",
]  # fmt: skip


def result(recipe, values, size=100.0):
    return Result(recipe, Records(tuple(UNITS), {"ndcg_at_10": np.asarray(values)}), size, size / 2, 1.5, 0.25)


@pytest.fixture
def found():
    first = np.random.default_rng(0).random(30)
    return Comparison(
        [
            result("minilm | flat", first, 1536.0),
            Result("minilm | pca 9999 | flat", error="too few passages"),
            result("minilm | int8 | flat", first + 0.5, 384.0),
            result("minilm | binary | flat", first - np.eye(30)[3] * 0.1, 48.0),
        ],
        UNITS,
    )


def test_the_report_has_the_keys_that_scripts_rely_on(found):
    said = found.to_dict()
    assert list(said) == ["baseline", "measure", "verdict", "questions_needed", "winner", "recipes"]
    assert [list(row) for row in said["recipes"]] == [ROW] * 4
    assert said["baseline"] == "minilm | flat"
    assert said["winner"]["recipe"] == "minilm | int8 | flat"
    assert said["winner"]["corrected"] == pytest.approx(said["recipes"][2]["score"], abs=0.01)
    assert json.loads(json.dumps(said)) == said


def test_the_baseline_differs_from_itself_by_nothing(found):
    row = found.to_dict()["recipes"][0]
    assert (row["difference"], row["low"], row["high"], row["told_apart"]) == (0, 0, 0, False)


def test_differences_are_from_the_baseline_and_not_worse_is_against_the_best(found):
    better = found.to_dict()["recipes"][2]
    assert better["difference"] == pytest.approx(0.5)
    assert better["low"] <= 0.5 <= better["high"]
    assert (better["told_apart"], better["not_worse"]) == (True, True)
    assert not found.to_dict()["recipes"][0]["not_worse"]


def test_a_recipe_that_did_not_run_has_an_error_and_no_numbers(found):
    row = found.to_dict()["recipes"][1]
    assert row["error"] == "too few passages"
    assert all(value is None for key, value in row.items() if key not in ("recipe", "error"))


def test_without_a_baseline_the_others_keep_their_scores(found):
    failed = Comparison([found.results[1], found.results[2], found.results[3]], UNITS)
    row = failed.to_dict()["recipes"][1]
    assert row["score"] is not None
    assert row["not_worse"] is True
    assert row["difference"] is row["low"] is row["told_apart"] is None
    with pytest.raises(ValueError, match="did not run"):
        failed.questions_won("minilm | int8 | flat")


def test_nothing_that_ran_gives_a_report_without_numbers(found):
    said = Comparison([found.results[1]], UNITS).to_dict()
    assert said["winner"] == {"recipe": None, "corrected": None}
    assert said["verdict"].startswith("No recipe ran.")


def test_of_equal_scores_the_smallest_wins():
    same = np.random.default_rng(1).random(30)
    found = Comparison([result("a", same, 300.0), result("b", same, 100.0), result("c", same, 200.0)], UNITS)
    assert found.winner == found.to_dict()["winner"]["recipe"] == "b"


def test_few_questions_give_scores_and_no_intervals():
    units = dict(list(UNITS.items())[:4])
    few = [
        Result(name, Records(tuple(units), {"ndcg_at_10": np.full(4, x)}), 1.0) for name, x in (("a", 0.5), ("b", 0.7))
    ]
    said = Comparison(few, units).to_dict()
    assert said["questions_needed"] == 6
    assert said["recipes"][1]["difference"] == pytest.approx(0.2)
    assert said["recipes"][1]["low"] is said["recipes"][1]["told_apart"] is said["winner"]["corrected"] is None


def test_questions_won_and_lost_are_told_by_their_text(found):
    assert found.questions_won("minilm | binary | flat") == []
    (lost,) = found.questions_lost("minilm | binary | flat")
    assert (lost.unit, lost.question) == ("3", "question 3")
    assert lost.difference == pytest.approx(-0.1)
    assert len(found.questions_won("minilm | int8 | flat")) == 30


def test_an_unknown_recipe_is_answered_with_the_nearest(found):
    with pytest.raises(ValueError, match=r"the nearest is \"minilm \| int8 \| flat\""):
        found.questions_won("minilm | int9 | flat")


def test_csv_and_pandas_hold_what_the_report_holds(found, tmp_path):
    rows = found.to_dict()["recipes"]
    found.to_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == list(found.to_pandas().columns) == ROW
    assert [row["recipe"] for row in read] == list(found.to_pandas()["recipe"]) == [row["recipe"] for row in rows]
    assert float(read[2]["score"]) == rows[2]["score"]
    assert read[1]["score"] == ""
    assert math.isnan(found.to_pandas()["score"][1])


def test_the_table_has_a_row_a_recipe_below_its_header(found):
    header, *rows = found.table()
    assert header[:2] == ("recipe", "nDCG@10")
    assert [row[0] for row in rows] == [entry.recipe for entry in found.results]
    assert [row[-1] for row in rows] == ["worse", "did not run: too few passages", "best", "worse"]


def close(units=30):
    """Two recipes that differ by noise, and one that is far behind."""
    rng = np.random.default_rng(2)
    first = rng.random(units)
    names = dict(list(UNITS.items())[:units])
    several = {"a": first, "b": first + 0.1 * rng.normal(size=units), "c": first - 2}
    return Comparison(
        [Result(n, Records(tuple(names), {"ndcg_at_10": x}), size) for size, (n, x) in enumerate(several.items(), 1)],
        names,
    )


def test_a_recipe_is_called_best_only_where_the_verdict_says_that_it_is_better_than_every_other(found):
    assert "is better than each of the other 2" in found.verdict
    assert found.standing("minilm | int8 | flat") == "best"
    tied = close()
    assert "cannot be told apart" in tied.verdict
    assert sorted(row[-1] for row in tied.table()[1:]) == ["highest", "not told apart", "worse"]
    assert tied.standing(tied.winner) == "highest"


def test_where_there_is_no_verdict_no_recipe_is_marked(found):
    few = close(units=2)
    assert "cannot tell recipes apart" in few.verdict
    assert [row[-1] for row in few.table()[1:]] == ["", "", ""]
    alone = Comparison([found.results[0]], UNITS)
    assert "nothing to compare it with" in alone.verdict
    assert alone.table()[1][-1] == ""


@pytest.mark.parametrize("unit", ["question", "pair"])  # the frontier, and the ranking
@pytest.mark.parametrize(
    ("drawn", "said", "unsaid"),
    [
        (close(), "★ highest score", "best"),
        (close(units=2), "fewer than 10 {}s cannot tell recipes apart", "★"),
        (Comparison([result("a", np.arange(30) + 9.0), result("b", np.arange(30))], UNITS), "★ best", "highest"),
    ],
)
def test_the_plot_marks_what_the_verdict_says(drawn, said, unsaid, unit, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    texts = []
    monkeypatch.setattr(Figure, "text", lambda self, x, y, text, **how: texts.append(text))
    replace(drawn, unit=unit).plot(tmp_path / "f.png")
    assert said.format(unit) in texts[-1]
    assert unsaid not in texts[-1]


@pytest.mark.parametrize(("name", "start"), [("f.png", b"\x89PNG"), ("f.svg", b"<?xml")])
def test_the_plot_is_what_its_suffix_says(found, tmp_path, name, start):
    found.plot(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_the_same_comparison_draws_the_same_file(found, tmp_path):
    for name in ("a.svg", "b.svg"):
        found.plot(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_what_cannot_be_drawn_is_a_sentence(found, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.png or \.svg"):
        found.plot(tmp_path / "f.gif")
    with pytest.raises(ValueError, match="no recipe ran"):
        Comparison([found.results[1]], UNITS).plot(tmp_path / "f.png")


def test_the_frontier_holds_what_no_other_beats_in_both():
    sizes, scores = [100, 50, 50, 200, 10], [0.5, 0.4, 0.3, 0.5, 0.1]
    best = [
        i
        for i in range(5)
        if not any(
            sizes[j] <= sizes[i] and scores[j] >= scores[i] and (sizes[j], scores[j]) != (sizes[i], scores[i])
            for j in range(5)
        )
    ]
    assert sorted(frontier(sizes, scores)) == best


def test_names_in_a_plot_leave_out_what_all_share():
    names, shared = short_names(
        ["minilm | mean | int8 | flat", "minilm | mean | pca 64 | int8 | flat", "minilm | flat"]
    )
    assert names == ["mean | int8", "mean | pca 64 | int8", "as is"]
    assert shared == "minilm | … | flat"
    assert short_names(["minilm", "wordllama"]) == (["minilm", "wordllama"], "")
    assert short_names(["minilm | flat"]) == (["minilm | flat"], "")


def test_labels_never_cover_each_other_or_a_point():
    rng = np.random.default_rng(3)
    points = [tuple(point) for point in rng.uniform(100, 900, (25, 2))]
    marks = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    boxes = place_labels(points, [(90.0, 14.0)] * 25, (0, 0, 1000, 1000), marks, [], 1.0)
    kept = [box for box in boxes if box is not None] + marks
    assert sum(box is not None for box in boxes) >= 20
    for i, one in enumerate(kept[: -len(marks)]):
        for other in kept[i + 1 :]:
            assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
