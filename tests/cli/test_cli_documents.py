"""cenote add, get, delete, compact, reindex and info: a collection's documents come, go and are described."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, RECIPE, TEXTS, Cenote

pytest.importorskip("wordllama")


def test_add_prints_a_line_after_every_commit(cenote: Cenote, shelf: Path, rows: Path) -> None:
    ran = cenote("add", shelf, rows, "--commit-every", 15, "--json")
    assert ran.code == 0
    assert [line["committed"] for line in ran.lines] == [15, 30, 40]
    assert [line["last_id"] for line in ran.lines] == ["d14", "d29", "d39"]
    versions = [line["version"] for line in ran.lines]
    assert versions == sorted(set(versions))
    assert all(set(line) == {"committed", "version", "last_id"} for line in ran.lines)


def test_what_a_line_acknowledged_is_there_after_a_kill(cenote: Cenote, shelf: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({"_id": f"m{i:04d}", "text": f"text number {i}"}) + "\n" for i in range(4000)))
    command = [*COMMAND, "add", str(shelf), str(many), "--commit-every", "50", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        acknowledged = [json.loads(running.stdout.readline()) for _ in range(3)]
        running.kill()
    assert running.returncode < 0, "it was done before it could be killed"
    asked = [f"m{i:04d}" for i in range(acknowledged[-1]["committed"])]
    assert asked[-1] == acknowledged[-1]["last_id"]
    found = cenote("get", shelf, *asked, "--json")
    assert found.code == 0
    assert [document["id"] for document in found.lines] == asked


def test_unchanged_documents_are_skipped_and_changed_ones_replaced(cenote: Cenote, shelf: Path, folder: Path) -> None:
    before = cenote("info", shelf, "--json").json["version"]
    assert "0 added, 0 changed, 4 unchanged" in cenote("add", shelf, folder).out
    assert cenote("info", shelf, "--json").json["version"] == before
    (folder / "gzip.txt").write_text("Compress with zstd.\n")
    assert "0 added, 1 changed, 3 unchanged" in cenote("add", shelf, folder).out
    assert cenote("get", shelf, "gzip.txt").out.strip() == "Compress with zstd."


def test_only_prune_removes_what_is_gone(cenote: Cenote, shelf: Path, folder: Path) -> None:
    (folder / "mail.txt").unlink()
    assert "4 documents" in cenote("add", shelf, folder).out
    assert "1 pruned; 3 documents" in cenote("add", shelf, folder, "--prune").out
    assert cenote("get", shelf, "mail.txt").code == 1


def test_add_into_nothing_is_refused(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    assert cenote("add", tmp_path / "nowhere", folder).code == 2
    assert not (tmp_path / "nowhere").exists()


def test_bad_arguments_of_add_leave_the_collection_as_it_was(cenote: Cenote, shelf: Path, folder: Path) -> None:
    before = cenote("info", shelf, "--json").json
    for changed in (["--commit-every", "0"], ["--limit", "0"]):
        assert cenote("add", shelf, folder, *changed).code == 2
    assert cenote("add", shelf, folder / "nowhere").code == 2
    assert cenote("info", shelf, "--json").json == before


def test_get_gives_documents_in_the_order_asked(cenote: Cenote, shelf: Path) -> None:
    found = cenote("get", shelf, "notes/csv.txt", "dates.md", "--json").lines
    assert [document["id"] for document in found] == ["notes/csv.txt", "dates.md"]
    assert [document["text"] for document in found] == [TEXTS["notes/csv.txt"], TEXTS["dates.md"]]
    assert found[1]["headings"][0][1:] == [1, "Dates"]
    assert cenote("get", shelf, "mail.txt").out == TEXTS["mail.txt"] + "\n"


def test_get_gives_what_is_there_and_names_the_missing_with_1(cenote: Cenote, shelf: Path) -> None:
    ran = cenote("get", shelf, "nope", "dates.md", "neither", "--json")
    assert ran.code == 1
    assert [document["id"] for document in ran.lines] == ["dates.md"]
    assert "'nope', 'neither'" in ran.err


def test_delete_is_all_or_nothing(cenote: Cenote, shelf: Path) -> None:
    ran = cenote("delete", shelf, "mail.txt", "nope")
    assert ran.code == 1
    assert "'nope'" in ran.err
    assert cenote("get", shelf, "mail.txt").code == 0
    assert cenote("delete", shelf, "mail.txt", "gzip.txt", "--json").json["deleted"] == 2
    assert cenote("get", shelf, "mail.txt").code == 1
    assert cenote("info", shelf, "--json").json["documents"] == 2


def test_compacting_leaves_one_segment_and_no_dead_document(cenote: Cenote, shelf: Path, rows: Path) -> None:
    cenote("add", shelf, rows, "--commit-every", 20)
    cenote("delete", shelf, "d03")
    found = cenote("compact", shelf, "--json").json
    assert (found["segments"], found["dead_documents"], found["documents"]) == (1, 0, 43)
    assert cenote("get", shelf, "d04").code == 0


def test_reindex_changes_the_recipe_in_place_or_at_another_place(cenote: Cenote, shelf: Path, tmp_path: Path) -> None:
    other = "wordllama | binary | flat"
    assert cenote("reindex", shelf, "--recipe", other, "--out", tmp_path / "b", "--json").json["recipe"] == other
    assert cenote("info", shelf, "--json").json["recipe"] == RECIPE
    ran = cenote("reindex", shelf, "--recipe", other)
    assert ran.code == 0
    assert "4 documents" in ran.out
    assert cenote("info", shelf, "--json").json["recipe"] == other
    assert cenote("search", tmp_path / "b", "compress with gzip", "-k", 1, "--json").json["hits"][0]["id"] == "gzip.txt"


def test_a_broken_recipe_leaves_the_old_index(cenote: Cenote, shelf: Path, tmp_path: Path) -> None:
    for recipe in ("wordllama | pca 200 | flat", "float8 | flat", ""):
        assert cenote("reindex", shelf, "--recipe", recipe).code == 2
        assert cenote("reindex", shelf, "--recipe", recipe, "--out", tmp_path / "b").code == 2
    assert cenote("info", shelf, "--json", "--verify").json["recipe"] == RECIPE


def test_reindex_does_not_write_into_a_folder_of_something_else(cenote: Cenote, shelf: Path, folder: Path) -> None:
    (folder / "tmp").mkdir()
    (folder / "tmp" / "mine.txt").write_text("my own")
    assert cenote("reindex", shelf, "--recipe", "wordllama | flat", "--out", folder).code == 2
    assert (folder / "tmp" / "mine.txt").exists()


def test_info_counts_every_byte_once(cenote: Cenote, shelf: Path) -> None:
    found = cenote("info", shelf, "--json").json
    newest = max(shelf.glob("MANIFEST-*"))
    files = [path for path in shelf.rglob("*") if path.is_file() and (path.parent != shelf or path.name[0] != "M")]
    disk = sum(path.stat().st_size for path in (newest, *files))
    assert found["bytes"]["disk"] == disk
    assert found["bytes"]["payload"] == 4 * 256
    assert found["bytes_per_document"] == pytest.approx((found["bytes"]["payload"] + found["bytes"]["ids"]) / 4)
    assert found["disk_bytes_per_document"] == pytest.approx(disk / 4)
    assert (found["recipe"], found["dim"], found["passages"]) == (RECIPE, 256, 4)
    assert {"torch", "numba", "instructions"} <= set(found["kernels"])
    read = cenote("info", shelf).out
    assert RECIPE in read
    assert f"{disk / 4:,.1f}" in read
    assert "\n\n\n" not in read


def test_info_names_what_a_condition_may(cenote: Cenote, shelf: Path, tmp_path: Path) -> None:
    assert "where    id, source, text\n" in cenote("info", shelf).out
    (tmp_path / "more.jsonl").write_text('{"id": "m", "text": "more", "year": 1998}\n')
    assert cenote("add", shelf, tmp_path / "more.jsonl").code == 0
    assert "where    id, source, text, year (int64)\n" in cenote("info", shelf).out
    assert cenote("search", shelf, "more", "--where", "year = 1998").out.startswith("  1  ")


def test_a_flipped_bit_is_named_by_verify(cenote: Cenote, shelf: Path) -> None:
    assert cenote("info", shelf, "--verify").code == 0
    victim = max((path for path in (shelf / "seg").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    victim.write_bytes(damaged)
    ran = cenote("info", shelf, "--verify")
    assert ran.code == 1
    assert victim.name in ran.err


def test_a_truncated_file_is_named_at_every_open(cenote: Cenote, shelf: Path) -> None:
    victim = next(path for path in (shelf / "seg").rglob("*") if path.is_file())
    os.truncate(victim, victim.stat().st_size - 1)
    for command in (("info", shelf), ("search", shelf, "gzip"), ("get", shelf, "gzip.txt"), ("delete", shelf, "x")):
        ran = cenote(*command)
        assert ran.code == 1, command
        assert victim.name in ran.err
        assert ran.out == ""
