"""cenote index and check: documents in."""

from pathlib import Path

import pytest
from command_line import RECIPE, Cenote

from cenote.cli.terminal import TERMINAL

pytest.importorskip("wordllama")


def interrupt_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    from cenote.recipe import Chain

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Chain, "vectors", stop)


def test_indexing_says_how_many_documents_and_bytes(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    ran = cenote("index", folder, "--out", tmp_path / "x", "--recipe", RECIPE)
    assert ran.code == 0
    assert "4 documents, 4 passages" in ran.out
    assert "bytes a document" in ran.out
    assert ran.err == ""


def test_json_is_what_info_says_of_the_new_collection(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    made = cenote("index", folder, "--out", tmp_path / "x", "--recipe", RECIPE, "--json").json
    found = cenote("info", tmp_path / "x", "--json").json
    assert made["skipped"] == 0
    assert {name: found[name] for name in made if name != "skipped"} == {k: v for k, v in made.items() if k in found}


def test_what_cannot_be_read_is_named_and_ends_nothing(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    (folder / "scan.pdf").write_text("no pdf at all")
    ran = cenote("index", folder, "--out", tmp_path / "x", "--recipe", RECIPE)
    assert ran.code == 0
    assert "4 documents" in ran.out
    assert "skipped 1 (unreadable):" in ran.err
    assert "scan.pdf" in ran.err


def test_strict_exits_with_1_where_something_was_skipped(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    assert cenote("index", folder, "--out", tmp_path / "x", "--recipe", RECIPE, "--strict").code == 0
    (folder / "scan.pdf").write_text("no pdf at all")
    ran = cenote("index", folder, "--out", tmp_path / "y", "--recipe", RECIPE, "--strict", "--json")
    assert ran.code == 1
    assert ran.json["skipped"] == 1
    assert "cenote: 1 input had to be skipped" in ran.err
    assert cenote("add", tmp_path / "y", folder, "--strict").code == 1


def test_of_many_skipped_ten_are_named_and_the_others_counted(capsys: pytest.CaptureFixture[str]) -> None:
    from cenote.data.base import Skipped

    many = [Skipped(f"f{i}.pdf", "it is a scan", "scanned") for i in range(25)] + [Skipped("z.pdf", "it is broken")]
    TERMINAL.quiet = TERMINAL.verbose = False
    TERMINAL.skipped(many)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "skipped 25 (scanned):"
    assert said[1] == "  f0.pdf: it is a scan"
    assert said[10:13] == ["  f9.pdf: it is a scan", "  and 15 more; -v lists all", "skipped 1 (unreadable):"]


def test_a_complete_collection_is_replaced_only_when_asked(cenote: Cenote, shelf: Path, folder: Path) -> None:
    (folder / "gzip.txt").unlink()
    again = ("index", folder, "--out", shelf, "--recipe", RECIPE)
    ran = cenote(*again)
    assert ran.code == 2
    assert "--replace" in ran.err
    assert cenote("info", shelf, "--json").json["documents"] == 4
    assert cenote(*again, "--replace").code == 0
    assert cenote("info", shelf, "--json").json["documents"] == 3


def test_an_interrupted_index_goes_on_with_the_same_command(
    cenote: Cenote, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("index", folder, "--out", tmp_path / "x", "--recipe", RECIPE)
    with monkeypatch.context() as patch:
        interrupt_encoding(patch)
        ran = cenote(*command)
        assert ran.code == 130
        assert ran.err == "cenote: interrupted; run the same command again to go on\n"
    unfinished = cenote("search", tmp_path / "x", "gzip")
    assert unfinished.code == 2
    assert "interrupted" in unfinished.err
    other = cenote("index", folder, "--out", tmp_path / "x", "--recipe", "wordllama | int8 | flat")
    assert other.code == 2
    assert RECIPE in other.err
    fewer = cenote(*command, "--limit", "2")
    assert fewer.code == 2
    assert "was begun with limit none and not 2; go on as it was begun, or replace it (--replace)" in fewer.err
    ran = cenote(*command)
    assert ran.code == 0
    assert "went on where the interrupted build stopped" in ran.err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--recipe", ""), "the recipe is empty"),
        (("--recipe", "wordlama | flat"), "nearest: `wordllama`\n  wordlama | flat\n  ^^^^^^^^"),
        (("--recipe", "wordllama | float7"), "nearest: `float8`"),
        (("--recipe", "wordllama | {int8, binary}"), "grid"),
        (("--recipe", "wordllama | pca 200 | flat"), "pca"),
        (("--limit", "0"), "limit must be at least 1"),
        (("--limit", "-3"), "limit must be at least 1"),
        (("--limit", "many"), "--limit"),
        (("--memory", "much"), "memory must be an amount"),
        (("--nope",), "--nope"),
    ],
)
def test_bad_arguments_are_refused_with_2_and_leave_nothing(
    cenote: Cenote, folder: Path, tmp_path: Path, changed: tuple[str, ...], said: str
) -> None:
    ran = cenote("index", folder, "--out", tmp_path / "x", "--recipe", RECIPE, *changed)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("cenote: ")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_source_that_is_not_there_or_holds_nothing_is_refused(cenote: Cenote, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in ("nowhere", "empty", "*.txt"):
        ran = cenote("index", tmp_path / source, "--out", tmp_path / "x", "--recipe", RECIPE)
        assert ran.code == 2, source
        assert not (tmp_path / "x").exists()


def test_a_folder_of_something_else_is_not_written_into(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    ran = cenote("index", folder, "--out", folder / "notes", "--recipe", RECIPE, "--replace")
    assert ran.code == 2
    assert [path.name for path in (folder / "notes").iterdir()] == ["csv.txt"]


def test_limit_and_text_column_choose_what_is_read(cenote: Cenote, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("_id,body\na,compress with gzip\nb,send an email\nc,read a csv file\n")
    command = ("index", table, "--out", tmp_path / "x", "--recipe", RECIPE)
    ran = cenote(*command)
    assert ran.code == 2
    assert "--text-column" in ran.err
    assert cenote(*command, "--text-column", "body", "--limit", 2, "--json").json["documents"] == 2


def test_tokens_beyond_the_window_are_reported(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    ran = cenote("index", folder, "--out", tmp_path / "x", "--recipe", "wordllama max_length=6 | flat")
    assert ran.code == 0
    assert "beyond the model's window" in ran.err


def test_a_second_writer_gets_a_sentence_and_1(cenote: Cenote, shelf: Path, folder: Path) -> None:
    from cenote.collection.writer import Writer

    with Writer(shelf):
        for command in (("add", shelf, folder), ("delete", shelf, "gzip.txt"), ("compact", shelf)):
            ran = cenote(*command)
            assert ran.code == 1, command
            assert "another process is writing" in ran.err


def test_check_says_what_is_there_before_any_work(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    (folder / "scan.pdf").write_text("no pdf at all")
    (folder / "copy.txt").write_text((folder / "gzip.txt").read_text())
    found = cenote("check", folder, "--recipe", RECIPE, "--json").json
    assert found["files"] == {"txt": 4, "md": 1}
    assert found["documents"] == 5
    assert found["skipped_by_kind"] == {"unreadable": 1}
    assert len(found["duplicates"]) == 1
    assert found["tokens"] > 0
    assert found["index_bytes"] == 5 * 256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs"]
    said = cenote("check", folder, "--recipe", RECIPE)
    assert "5 documents (" in said.out
    assert "1 document repeats the text of one before" in said.out
    assert "1.2 KiB of index" in said.out
    assert "scan.pdf" in said.err
    assert cenote("check", folder, "--recipe", RECIPE, "--strict").code == 1


def test_check_names_an_id_that_comes_twice(cenote: Cenote, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("_id,text\na,one\nb,two\na,three\n")
    ran = cenote("check", table, "--recipe", RECIPE)
    assert ran.code == 2
    assert "'a'" in ran.err


def test_a_link_to_nowhere_is_no_place_for_a_collection(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    ran = cenote("index", folder, "--out", tmp_path / "link", "--recipe", RECIPE)
    assert ran.code == 2
    assert f"is a link to {tmp_path / 'nowhere'}, which is not there" in ran.err
    assert not (tmp_path / "nowhere").exists()
