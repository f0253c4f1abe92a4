"""cenote measure and compare: figures that scripts rely on."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest
from command_line import RECIPE, Cenote

from cenote.train.pooler import Budget

pytest.importorskip("wordllama")

Judged = tuple[Path, Path]
MEASURE_KEYS = {
    "ndcg_at_10",
    "mrr_at_10",
    "recall_at_10",
    "recall_at_100",
    "map",
    "queries",
    "ms_per_query",
    "bytes_per_document",
    "first_pass_bytes_per_document",
    "disk_bytes_per_document",
}
RECIPE_KEYS = {
    "recipe",
    "score",
    "difference",
    "low",
    "high",
    "told_apart",
    "not_worse",
    "bytes_per_document",
    "first_pass_bytes_per_document",
    "build_s",
    "ms_per_query",
    "error",
}
GRID = "wordllama | {float32, int8, binary} | flat"
EXPANDED = [f"wordllama | {codec} | flat" for codec in ("float32", "int8", "binary")]


@pytest.fixture
def table(rows: Path, tmp_path: Path) -> Path:
    """The documents of `rows` as a collection."""
    from cenote.collection import create

    create(tmp_path / "rows.cenote", str(rows), RECIPE).close()
    return tmp_path / "rows.cenote"


@pytest.fixture
def questions(rows: Path, tmp_path: Path) -> Path:
    """The same questions, as a spreadsheet."""
    place = tmp_path / "questions.csv"
    with place.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "document"])
        for line in rows.read_text().splitlines()[::2]:
            found = json.loads(line)
            writer.writerow([" ".join(found["text"].split()[:4]), found["_id"]])
    return place


def test_measure_prints_the_figures_of_the_contract(cenote: Cenote, table: Path, judged: Judged) -> None:
    ran = cenote("measure", table, "--queries", judged[0], "--qrels", judged[1], "--json")
    assert ran.code == 0
    assert set(ran.json) == MEASURE_KEYS
    assert ran.json["queries"] == 20
    assert ran.json["recall_at_100"] == 1.0  # forty documents are all found among a hundred
    assert 0 < ran.json["ndcg_at_10"] <= 1
    assert ran.json["ms_per_query"] > 0
    info = cenote("info", table, "--json").json
    for name in ("bytes_per_document", "first_pass_bytes_per_document", "disk_bytes_per_document"):
        assert ran.json[name] == info[name]


def test_a_spreadsheet_asks_what_beir_files_ask(cenote: Cenote, table: Path, judged: Judged, questions: Path) -> None:
    files = cenote("measure", table, "--queries", judged[0], "--qrels", judged[1], "--json").json
    sheet = cenote("measure", table, "--questions", questions, "--json").json
    for name in ("ndcg_at_10", "mrr_at_10", "recall_at_10", "map", "queries"):
        assert sheet[name] == files[name]


def test_the_figures_are_those_of_the_run_it_writes(
    cenote: Cenote, table: Path, judged: Judged, tmp_path: Path
) -> None:
    import ir_measures
    from ir_measures import RR

    run = tmp_path / "out.run"
    found = cenote("measure", table, "--queries", judged[0], "--qrels", judged[1], "--run-out", run, "--json").json
    lines = judged[1].read_text().splitlines()[1:]
    qrels = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in map(str.split, lines)]
    figure = RR @ 10
    again = ir_measures.calc_aggregate([figure], qrels, ir_measures.read_trec_run(str(run)))
    assert found["mrr_at_10"] == pytest.approx(again[figure], abs=1e-9)


def test_measure_without_json_is_read_by_people(cenote: Cenote, table: Path, questions: Path) -> None:
    ran = cenote("measure", table, "--questions", questions)
    assert ran.code == 0
    assert ran.out.startswith("measure ")
    assert all(len(line.split()) == 2 for line in ran.out.splitlines())


def test_compare_prints_the_json_of_the_contract(cenote: Cenote, rows: Path, judged: Judged) -> None:
    ran = cenote("compare", rows, "--queries", judged[0], "--qrels", judged[1], "--with", GRID, "--json")
    assert ran.code == 0
    found = ran.json
    assert set(found) == {"baseline", "measure", "verdict", "questions_needed", "winner", "recipes"}
    assert set(found["winner"]) == {"recipe", "corrected"}
    assert found["baseline"] == EXPANDED[0]
    assert found["measure"] == "ndcg_at_10"
    assert [row["recipe"] for row in found["recipes"]] == EXPANDED
    assert all(set(row) == RECIPE_KEYS for row in found["recipes"])
    first = found["recipes"][0]
    assert (first["difference"], first["low"], first["high"], first["error"]) == (0, 0, 0, None)
    for row in found["recipes"]:
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["difference"] == pytest.approx(row["score"] - first["score"])
    sizes = [row["bytes_per_document"] for row in found["recipes"]]
    assert sizes == sorted(sizes, reverse=True)


def test_recipes_come_in_the_order_given_and_each_once(cenote: Cenote, table: Path, judged: Judged) -> None:
    given = ("--with", EXPANDED[2], "--with", GRID, "--with", "wordllama | truncate 64 | flat")
    ran = cenote("compare", table, "--queries", judged[0], "--qrels", judged[1], *given, "--json")
    assert [row["recipe"] for row in ran.json["recipes"]] == [
        EXPANDED[2],
        *EXPANDED[:2],
        "wordllama | truncate 64 | flat",
    ]
    assert ran.json["baseline"] == EXPANDED[2]


def test_a_recipe_that_does_not_run_says_why_and_has_no_figures(cenote: Cenote, table: Path, judged: Judged) -> None:
    broken = "wordllama | pca 200 | flat"
    ran = cenote(
        "compare", table, "--queries", judged[0], "--qrels", judged[1], "--with", GRID, "--with", broken, "--json"
    )
    assert ran.code == 0
    row = ran.json["recipes"][-1]
    assert "pca" in row["error"]
    assert all(row[name] is None for name in RECIPE_KEYS - {"recipe", "error"})
    alone = cenote("compare", table, "--queries", judged[0], "--qrels", judged[1], "--with", broken, "--json")
    assert alone.code == 1
    assert alone.json["winner"]["recipe"] is None
    assert alone.err.endswith("cenote: no recipe ran\n")


def test_what_will_be_done_is_said_before_what_was_found(cenote: Cenote, rows: Path, questions: Path) -> None:
    ran = cenote("compare", rows, "--questions", questions, "--with", GRID)
    assert ran.err.startswith("3 recipes from 1 encoding of 40 documents: about ")
    verdict, blank, header, *table = ran.out.splitlines()
    assert verdict.endswith(".")
    assert blank == ""
    assert header.split()[:2] == ["recipe", "nDCG@10"]
    assert [line.split("  ")[0] for line in table] == EXPANDED


def test_plot_csv_runs_and_the_best_collection_are_kept(
    cenote: Cenote, rows: Path, questions: Path, tmp_path: Path
) -> None:
    where = {name: tmp_path / name for name in ("plot.svg", "plot.png", "table.csv", "runs", "best.cenote")}
    ran = cenote(
        *("compare", rows, "--questions", questions, "--with", GRID, "--json"),
        *("--plot", where["plot.svg"], "--csv", where["table.csv"], "--runs", where["runs"]),
        *("--keep", "best", "--out", where["best.cenote"]),
    )
    assert ran.code == 0
    assert "<svg" in where["plot.svg"].read_text()
    with where["table.csv"].open(newline="") as file:
        assert [row["recipe"] for row in csv.DictReader(file)] == EXPANDED
    assert len(list(where["runs"].iterdir())) == 3
    assert cenote("info", where["best.cenote"], "--json").json["recipe"] == ran.json["winner"]["recipe"]
    assert cenote("search", where["best.cenote"], "river", "-k", 1).code == 0


def test_a_column_of_text_may_have_another_name(cenote: Cenote, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("_id,body\na,compress with gzip\nb,send an email\n")
    (tmp_path / "q.csv").write_text("question,document\ngzip,a\nemail,b\n")
    command = ("compare", tmp_path / "t.csv", "--questions", tmp_path / "q.csv", "--with", "wordllama", "--json")
    ran = cenote(*command, "--text-column", "body")
    assert ran.code == 0
    assert ran.json["recipes"][0]["score"] == 1.0
    assert cenote(*command).code == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--plot", "plot.pdf"), ".png or .svg"),
        (("--plot", "nowhere/plot.svg"), "no folder nowhere"),
        (("--csv", "nowhere/table.csv"), "no folder nowhere"),
        (("--keep", "best"), "--out"),
        (("--keep", "worst", "--out", "x"), "--keep"),
        (("--out", "x"), "--keep best"),
        (("--with", "wordlama"), "nearest: `wordllama`"),
        (("--with", "wordllama | {int8"), "never closed"),
        (("--margin", "-1"), "margin"),
        (("--measure", "ndcg"), "measure must be one of"),
        (("--queries", "queries.jsonl"), "questions come as"),
    ],
)
def test_bad_arguments_of_compare_are_refused_before_anything_is_built(
    cenote: Cenote,
    rows: Path,
    questions: Path,
    changed: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def built(*_: object, **__: object) -> None:
        raise AssertionError("something was built")

    monkeypatch.setattr("cenote.collection.creating.create", built)
    monkeypatch.chdir(tmp_path)
    ran = cenote("compare", rows, "--questions", questions, "--with", GRID, *changed)
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err


def test_questions_have_to_be_given_and_to_fit(cenote: Cenote, table: Path, judged: Judged, tmp_path: Path) -> None:
    for asked in ((), ("--queries", judged[0]), ("--questions", tmp_path / "nowhere.csv")):
        assert cenote("measure", table, *asked).code == 2
        assert cenote("compare", table, "--with", GRID, *asked).code == 2
    (tmp_path / "other.csv").write_text("question,document\nwhere is it,d039\n")
    ran = cenote("measure", table, "--questions", tmp_path / "other.csv")
    assert ran.code == 2
    assert "'d039': nearest: 'd39'" in ran.err
    assert cenote("compare", table, "--questions", tmp_path / "other.csv").code == 2, "no recipe was given"


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """Texts of two classes in a spreadsheet with columns and dividers of its own."""
    things = (("rain and wind", "weather"), ("bread and salt", "food"))
    rows = [f"{n} times {text} came;{label}" for n in range(40) for text, label in things]
    (tmp_path / "sheet.csv").write_text("Body;Topic\n" + "\n".join(rows) + "\n")
    return tmp_path / "sheet.csv"


def test_texts_are_ranked_best_first_and_what_is_left_out_is_named(cenote: Cenote, sheet: Path, tmp_path: Path) -> None:
    given = ("compare", "--labels", sheet, "--columns", "body,topic", "--with", "wordllama | {last, maxcls, mean}")
    ran = cenote(*given, "--plot", tmp_path / "ranking.svg", "--csv", tmp_path / "table.csv")
    assert ran.code == 0
    _, _, header, *table = ran.out.splitlines()
    assert header.split()[:2] == ["recipe", "accuracy"]
    assert [line.split("  ")[0] for line in table] == ["wordllama | mean", "wordllama | last", "wordllama | maxcls"]
    assert table[-1].endswith(
        "`maxcls` pools over the layers of a model, and wordllama is a table without any; use another encoder"
    )
    assert "<svg" in (tmp_path / "ranking.svg").read_text()
    with (tmp_path / "table.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["recipe"] == "wordllama | last"
    wild = cenote("compare", "--labels", sheet, "--columns", "body,topic", "--with", "wordllama | {mean, pool.*}")
    planned, left, *_ = wild.err.splitlines()
    assert planned.startswith("15 recipes from 1 encoding of 80 texts: about ")
    assert left.startswith("left out of the grid, which must be trained first (--train)")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "no column text or sentence or question; its first line holds body, topic"),
        (("--columns", "body"), "columns must name a text and its class, 2 in all, not body"),
        (("--columns", "topic,body"), "every class has a single text"),
        (("--columns", "body,topic", "--split", "dev"), "has no split dev"),
        (("--columns", "body,topic", "--text-column", "body"), "text_column is of documents"),
        (("--columns", "body,topic", "--runs", "runs"), "runs is of documents"),
        (("--columns", "body,topic", "--margin", "-1"), "margin must be 0 or more"),
    ],
)
def test_what_is_wrong_with_texts_is_said_with_what_to_do(
    cenote: Cenote, sheet: Path, given: tuple[str, ...], said: str
) -> None:
    ran = cenote("compare", "--labels", sheet, "--with", "wordllama", *given)
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err
    assert "about" not in ran.err, "nothing is foretold of what cannot be done"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("question,document\nwhere is it,d039\n", "'d039': nearest: 'd39'"),
        ("question,dokument\nwhere is it,d39\n", "no column `document`"),
        ("question,document,document\nwhere is it,d39,d38\n", "two columns 'document'"),
    ],
)
def test_questions_that_do_not_fit_the_documents_are_noticed_before_anything_is_foretold(
    cenote: Cenote, rows: Path, tmp_path: Path, lines: str, said: str
) -> None:
    (tmp_path / "q.csv").write_text(lines)
    ran = cenote("compare", rows, "--questions", tmp_path / "q.csv", "--with", "wordllama")
    assert ran.code == 2
    assert said in ran.err
    assert "about" not in ran.err


def test_how_long_training_takes_is_foretold_and_what_was_trained_is_not(
    cenote: Cenote, sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cenote.measure.training.Budget", partial(Budget, rounds=1, examples=64))
    given = ("compare", "--labels", sheet, "--columns", "body,topic", "--with", "wordllama | {mean, gwap}")
    given += ("--trained", tmp_path / "runs", "--json")
    first = cenote(*given)
    assert first.err.startswith("2 recipes from 1 encoding of 80 texts, 1 pooler to be trained first: about ")
    mean, gwap = first.json["recipes"]
    assert (mean["rate"], mean["rate_inside"]) == (None, None)
    assert gwap["rate"] is not None
    again = cenote(*given)
    assert again.err.startswith("2 recipes from 1 encoding of 80 texts: about ")
    assert again.json["recipes"][1]["score"] == gwap["score"]
