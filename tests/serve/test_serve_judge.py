"""Judging what several recipes find: blind, resumed where it stopped, and with the verdict of compare."""

import json
import random
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Client, refused

from cenote.cli.main import main
from cenote.collection import create, open_collection
from cenote.measure import compare
from cenote.serve.judge_asgi import judge_application
from cenote.serve.judging import Judging, Ranked, questions_of, ranked

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")

THINGS = (*("rain", "bread", "glass", "copper", "violin", "harbour"), *("pepper", "lantern", "glacier", "saddle"))
QUESTIONS = {f"q{n}": f"a {thing} and a {THINGS[n - 3]}" for n, thing in enumerate(THINGS)} | {"q10": "an anchor"}
RECIPES = ["wordllama | float8 | flat", "wordllama | truncate 64 | binary | flat"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = random.Random(0)
    rows = [{"id": f"d{n}", "text": " ".join(chance.choices(THINGS, k=6)), "title": f"no. {n}"} for n in range(60)]
    place = tmp_path_factory.mktemp("judged") / "docs.cenote"
    create(place, rows, RECIPES[0]).close()
    return place


@pytest.fixture(scope="module")
def found(place: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Ranked]:
    with open_collection(place) as opened:
        return ranked(
            opened, [*RECIPES, "passages 9999 | minilm"], QUESTIONS, 10, tmp_path_factory.mktemp("built"), print
        )


def _answers(question: str, text: str) -> int:
    """The grade of a document: 2 where it holds both things, 1 where it holds one."""
    return sum(thing in text.split() for thing in question.split() if thing in THINGS)


def _judge(judging: Judging, *ids: str) -> None:
    for id in ids:
        for hit in judging.pools[id]:
            judging.grade(id, hit.id, _answers(QUESTIONS[id], hit.text))


def test_a_pool_holds_what_every_recipe_found_once(found: list[Ranked], tmp_path: Path) -> None:
    judging = Judging(QUESTIONS, found, tmp_path / "judged")
    assert sum(map(len, judging.pools.values())) > 10 * len(QUESTIONS)
    for id, text in QUESTIONS.items():
        expected = {hit.id for one in found[:2] for hit in one.hits[text]}
        pooled = [hit.id for hit in judging.pools[id]]
        assert set(pooled) == expected
        assert len(pooled) == len(expected) >= 10


def test_the_order_tells_nothing_and_stays(found: list[Ranked], tmp_path: Path) -> None:
    judging = Judging(QUESTIONS, found, tmp_path / "a")
    swapped = Judging(QUESTIONS, found[::-1], tmp_path / "b")
    ranks = []
    for id, text in QUESTIONS.items():
        pooled = [hit.id for hit in judging.pools[id]]
        assert [hit.id for hit in swapped.pools[id]] == pooled
        best = [hit.id for hit in found[0].hits[text]]
        ranks += [best.index(document) for document in pooled[:3] if document in best]
    assert 2 < sum(ranks) / len(ranks) < 7  # what is shown first is as often the last as the first


def test_the_page_is_told_no_recipe_score_or_rank(found: list[Ranked], tmp_path: Path) -> None:
    client = Client(judge_application(Judging(QUESTIONS, found, tmp_path / "judged")))
    for document in client.get("/questions/q3").json():
        assert set(document) == {"id", "text", "title", "page", "heading", "grade"}
    listed = client.get("/questions").json()
    assert [one["id"] for one in listed] == list(QUESTIONS)
    assert set(listed[0]) == {"id", "text", "documents", "left"}


def test_the_verdict_is_that_of_compare_on_the_same_judgements(
    found: list[Ranked], place: Path, tmp_path: Path
) -> None:
    judging = Judging(QUESTIONS, found, tmp_path / "judged")
    assert "Nothing can be said" in judging.verdict()
    _judge(judging, *list(QUESTIONS)[:3])
    assert "at least 10" in judging.verdict()
    _judge(judging, *QUESTIONS)
    assert len(judging.judged()) == 10  # nothing answers the question for an anchor
    with open_collection(place) as opened:
        files = {"queries": tmp_path / "judged" / "queries.jsonl", "qrels": tmp_path / "judged" / "qrels.tsv"}
        whole = compare(opened, recipes=[one.recipe for one in found], **files)
    assert judging.verdict() == whole.verdict
    assert "did not run" in judging.verdict()


def test_a_question_counts_once_all_of_it_is_judged(found: list[Ranked], tmp_path: Path) -> None:
    judging = Judging(QUESTIONS, found, tmp_path / "judged")
    first, *rest = judging.pools["q0"]
    for hit in rest:
        judging.grade("q0", hit.id, 2)
    assert judging.left("q0") == 1
    assert judging.judged() == []
    judging.grade("q0", first.id, 0)
    assert [question.id for question in judging.judged()] == ["q0"]
    judging.grade("q0", first.id, None)
    assert judging.judged() == []


def test_every_grade_is_kept_and_judging_goes_on_where_it_stopped(found: list[Ranked], tmp_path: Path) -> None:
    client = Client(judge_application(Judging(QUESTIONS, found, tmp_path / "judged")))
    document = client.get("/questions/q1").json()[0]["id"]
    for grade in (1, 2):
        answer = client.post("/judgements", {"question": "q1", "document": document, "grade": grade})
        assert answer.json()["left"] == client.get("/questions").json()[1]["documents"] - 1
        written = (tmp_path / "judged" / "qrels.tsv").read_text()
        assert written == f"query-id\tcorpus-id\tscore\nq1\t{document}\t{grade}\n"
    again = Judging(QUESTIONS, found, tmp_path / "judged")
    assert again.grades == {"q1": {document: 2}}
    assert not list((tmp_path / "judged").glob("*.tmp"))


def test_judgements_of_other_questions_are_not_written_over(found: list[Ranked], tmp_path: Path) -> None:
    _judge(Judging(QUESTIONS, found, tmp_path / "judged"), "q0")
    before = (tmp_path / "judged" / "qrels.tsv").read_bytes()
    with pytest.raises(ValueError, match="--out"):
        Judging({"q0": "something else"}, [], tmp_path / "judged")
    assert (tmp_path / "judged" / "qrels.tsv").read_bytes() == before


@pytest.mark.parametrize(
    "body",
    [
        {"question": "q99", "document": "d1", "grade": 1},
        {"question": "q0", "document": "nowhere", "grade": 1},
        {"question": "q0", "document": "d1", "grade": 3},
        {"question": "q0", "document": "d1", "grade": "1"},
        {"question": "q0", "document": "d1"},
    ],
)
def test_grades_that_make_no_sense_are_refused(found: list[Ranked], tmp_path: Path, body: dict[str, Any]) -> None:
    client = Client(judge_application(Judging(QUESTIONS, found, tmp_path / "judged")))
    answer = client.post("/judgements", body)
    refused(answer, 422 if answer.status_code == 422 else 400)
    assert not (tmp_path / "judged" / "qrels.tsv").exists()
    refused(client.get("/questions", headers={"Host": "evil.example"}), 403)


def test_questions_come_from_what_people_have(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first?\n\n  second? \n")
    (tmp_path / "a.jsonl").write_text('{"_id": "x", "text": "first?"}\n')
    (tmp_path / "a.csv").write_text("question,document\nfirst?,a.md\nfirst?,b.md\nsecond?,c.md\n")
    assert questions_of(tmp_path / "a.txt") == {"1": "first?", "2": "second?"}
    assert questions_of(tmp_path / "a.jsonl") == {"x": "first?"}
    assert questions_of(tmp_path / "a.csv") == {"1": "first?", "2": "second?"}
    (tmp_path / "empty.txt").write_text("\n")
    for name in ("empty.txt", "nothing.txt", "nothing.jsonl"):
        with pytest.raises(ValueError, match=name):
            questions_of(tmp_path / name)


def test_the_command_ends_with_the_verdict(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "q.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in QUESTIONS.items()))
    asked: list[Any] = []

    def listen(app: Any, listening: Any, host: str, ready: Any) -> None:
        asked.append(host)
        ready("http://here")
        client = Client(app)
        for id, text in QUESTIONS.items():
            for hit in client.get(f"/questions/{id}").json():
                body = {"question": id, "document": hit["id"], "grade": _answers(text, hit["text"])}
                assert client.post("/judgements", body).status_code == 200
        raise KeyboardInterrupt

    monkeypatch.setattr("cenote.serve.running.listen", listen)
    out = tmp_path / "judged"
    code = main(["judge", str(place), "--questions", str(tmp_path / "q.jsonl"), "--out", str(out), "--port", "0"]
                + [part for recipe in RECIPES for part in ("--with", recipe)])  # fmt: skip
    said = capsys.readouterr()
    assert code == 0
    assert asked == ["127.0.0.1"]
    assert "for 11 questions at http://here" in said.err
    assert "these 10 questions" in said.out
    command = shlex.split(said.out.splitlines()[-1])
    assert command[:3] == ["cenote", "compare", str(place)]
    assert command[command.index("--qrels") + 1] == str(out / "qrels.tsv")
    assert [command[n + 1] for n, part in enumerate(command) if part == "--with"] == list(RECIPES)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested where playwright is installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("the page is tested where Debian's chromium is installed")
    with playwright.sync_playwright() as tools:
        opened = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_keys_grade_and_walk_and_take_back(browser: Any, found: list[Ranked], tmp_path: Path) -> None:
    from playwright.sync_api import expect
    from served import listening

    judging = Judging(dict(list(QUESTIONS.items())[:2]), found, tmp_path / "judged")
    with listening(judge_application(judging)) as address:
        page = browser.new_page()
        page.set_default_timeout(5_000)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        expect(page.locator("#question")).to_have_text(QUESTIONS["q0"])
        count = len(judging.pools["q0"])
        expect(page.get_by_role("article")).to_have_count(count)
        expect(page.get_by_role("article").first).to_be_focused()
        page.keyboard.press("2")
        expect(page.get_by_role("article").nth(1)).to_be_focused()
        page.keyboard.press("1")
        expect(page.get_by_role("status")).to_contain_text(f"2 of {count} documents graded")
        assert list(judging.grades["q0"].values()) == [2, 1]
        pressed = page.get_by_role("article").first.get_by_role("button", pressed=True)
        assert pressed.inner_text() == "2 · yes"
        expect(page.get_by_role("article").nth(2)).to_be_focused()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Backspace")
        expect(page.get_by_role("status")).to_contain_text(f"1 of {count} documents graded")
        assert list(judging.grades["q0"].values()) == [2]
        for n in range(count - 1):
            page.keyboard.press("0")
            expect(page.get_by_role("status")).to_contain_text(f"{n + 2} of" if n < count - 2 else "1 of 2 questions")
        expect(page.locator("#question")).to_have_text(QUESTIONS["q1"])
        expect(page.locator("#verdict")).to_contain_text("at least 10")
        page.get_by_role("button", name="Question before").click()
        expect(page.locator("#question")).to_have_text(QUESTIONS["q0"])
        assert page.get_by_role("button", pressed=True).count() == count
        assert faults == []
        page.close()
