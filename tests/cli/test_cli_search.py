"""cenote search: questions in, documents out."""

import json
import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, TEXTS, Cenote

pytest.importorskip("wordllama")


def test_json_is_one_object_a_question(cenote: Cenote, shelf: Path) -> None:
    ran = cenote("search", shelf, "compress with gzip", "send an email", "-k", 2, "--json")
    assert ran.code == 0
    assert [found["query"] for found in ran.lines] == ["compress with gzip", "send an email"]
    assert [found["hits"][0]["id"] for found in ran.lines] == ["gzip.txt", "mail.txt"]
    for found in ran.lines:
        assert set(found) == {"query", "hits", "ms"}
        assert found["ms"] > 0
        scores = [hit["score"] for hit in found["hits"]]
        assert scores == sorted(scores, reverse=True)
        for hit in found["hits"]:
            assert {"id", "score", "text", "source", "start", "end", "page", "heading"} <= set(hit)
            assert hit["text"] == TEXTS[hit["id"]][hit["start"] : hit["end"]]


def test_questions_from_stdin_are_answered_in_their_order(cenote: Cenote, shelf: Path) -> None:
    ran = cenote("search", shelf, "-", "-k", 1, "--json", stdin=b"gzip\r\nr\xc3\xa9sum\xc3\xa9 by email\ntime zones")
    assert [found["query"] for found in ran.lines] == ["gzip", "résumé by email", "time zones"]
    assert [found["hits"][0]["id"] for found in ran.lines] == ["gzip.txt", "mail.txt", "dates.md"]


def test_a_question_from_stdin_is_answered_before_the_next_one_comes(shelf: Path) -> None:
    command = [*COMMAND, "search", str(shelf), "-", "-k", "1", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for question in ("gzip", "email"):
            running.stdin.write(f"{question}\n".encode())
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["query"] == question
        running.stdin.close()
    assert running.returncode == 0


def test_text_shows_rank_score_id_place_and_passage(cenote: Cenote, shelf: Path) -> None:
    said = cenote("search", shelf, "parse a date", "-k", 2).out.splitlines()
    assert [line[:3].strip() for line in said if not line.startswith("    ")] == ["1", "2"]
    rank, score, place = said[0].split(maxsplit=2)
    assert (rank, place) == ("1", "dates.md, Dates")
    assert 0 < float(score) <= 1
    assert "Parse a date from a string" in said[1]
    assert max(map(len, said)) <= 80


def test_of_a_long_passage_the_place_is_shown_that_the_question_is_about(cenote: Cenote, tmp_path: Path) -> None:
    filler = "The committee of the club met in the evening and spoke of the weather. " * 20
    (tmp_path / "minutes.txt").write_text(f"{filler}The gasket of the pump\nwas replaced in May. {filler}")
    cenote("index", tmp_path / "minutes.txt", "--out", tmp_path / "x", "--recipe", "wordllama | flat")
    plain = cenote("search", tmp_path / "x", "when were the gaskets of the pump replaced?").out
    lines = plain.splitlines()[1:]
    assert " ".join(line.strip() for line in lines).startswith("… The gasket of the pump was replaced in May. The")
    assert 2 <= len(lines) <= 4
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in plain
    whole = cenote("search", tmp_path / "x", "gaskets of the pump", "--json").json["hits"][0]["text"]
    assert whole == (tmp_path / "minutes.txt").read_text()
    nowhere = cenote("search", tmp_path / "x", "violin").out.splitlines()[1]
    assert nowhere.strip().startswith("The committee of the club met")


def test_what_a_document_tells_a_terminal_to_do_is_not_passed_on(cenote: Cenote, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "trap.txt").write_text("a trap \x1b[2Jthat clears\x07 the screen")
    cenote("add", shelf, tmp_path / "trap.txt")
    said = cenote("search", shelf, "a trap that clears the screen", "-k", 1).out
    assert "trap" in said
    assert "\x1b" not in said
    assert "\x07" not in said


def test_a_condition_and_k_choose_among_documents(cenote: Cenote, shelf: Path) -> None:
    ran = cenote("search", shelf, "gzip", "--where", "source like '%.md'", "--json")
    assert [hit["id"] for hit in ran.json["hits"]] == ["dates.md"]
    assert len(cenote("search", shelf, "gzip", "-k", 3, "--json").json["hits"]) == 3
    assert len(cenote("search", shelf, "gzip", "--k", 99, "--json").json["hits"]) == 4
    none = cenote("search", shelf, "gzip", "--where", "id = 'nowhere'")
    assert (none.code, none.out, none.err) == (0, "", "nothing was found\n")


def test_passages_are_hits_of_their_own_only_when_asked(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "cut.cenote"
    cenote("index", folder, "--out", place, "--recipe", "passages 12 | wordllama | flat")
    ids = [hit["id"] for hit in cenote("search", place, "dates and zones", "--json").json["hits"]]
    assert len(ids) == len(set(ids)) == 4
    ids = [hit["id"] for hit in cenote("search", place, "dates and zones", "--passages", "--json").json["hits"]]
    assert ids.count("dates.md") > 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["gzip", "-k", "0"], b"", "k must be at least 1"),
        (["gzip", "-k", "-2"], b"", "k must be at least 1"),
        (["gzip", "-k", "ten"], b"", "-k"),
        ([""], b"", "question 1 is empty"),
        (["gzip", "  "], b"", "question 2 is empty"),
        (["-"], b"\n", "question 1 is empty"),
        (["-"], b"\xff\xfe\n", "stdin, line 1: this is not UTF-8"),
        (["\udcff"], b"", "question 1 is not UTF-8"),
        (["gzip", "--where", "sorce = 3"], b"", "no attribute `sorce`; nearest: `source`; there are id"),
        (["gzip", "--where", "1=1; drop table rows"], b"", "no single condition"),
        (["gzip", "--where", "1=1 limit 1"], b"", "`limit` stands where the condition should end"),
        ([], b"", "TEXT"),
    ],
)
def test_bad_questions_are_refused_with_2(
    cenote: Cenote, shelf: Path, arguments: list[str], stdin: bytes, said: str
) -> None:
    ran = cenote("search", shelf, *arguments, stdin=stdin)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("cenote: ")
    assert said in ran.err


def test_answers_given_before_a_bad_question_stay(cenote: Cenote, shelf: Path) -> None:
    ran = cenote("search", shelf, "-", "--json", stdin=b"gzip\n\nemail\n")
    assert ran.code == 2
    assert [found["query"] for found in ran.lines] == ["gzip"]
    assert "question 2 is empty" in ran.err


def test_a_place_without_a_collection_is_refused(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", folder, folder / "gzip.txt"):
        ran = cenote("search", place, "gzip")
        assert ran.code == 2, place
        assert str(place) in ran.err
