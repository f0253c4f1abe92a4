"""Collections: what was put in is found, read back, replaced and deleted."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from shelf import RECIPE, rows

import cenote
from cenote.collection import Collection, MissingDocuments, creating
from cenote.data import Document
from cenote.errors import Locked, RecipeError


@pytest.fixture
def docs(tmp_path: Path) -> Collection:
    return cenote.create(tmp_path / "docs.cenote", rows(0, 60), RECIPE)


def test_a_document_is_found_by_its_own_text(docs: Collection) -> None:
    for row in rows(0, 60)[::7]:
        assert docs.search(row["text"], k=1)[0][0].id == row["id"]


def test_a_hit_says_all_there_is_to_say(docs: Collection) -> None:
    text = rows(7, 8)[0]["text"]
    hit = docs.search(text, k=1)[0][0]
    assert (hit.id, hit.text, hit.start, hit.end, hit.page, hit.heading) == ("d7", text, 0, len(text), None, None)
    assert hit.attributes == {"n": 7}
    assert hit.score == pytest.approx(1, abs=0.01)


def test_rank_is_search_without_texts(docs: Collection) -> None:
    texts = ["bread and rain", "a violin in the harbour"]
    hits = docs.search(texts, k=20)
    assert docs.rank(texts, 20) == [[(hit.id, hit.score) for hit in one] for one in hits]


def test_documents_come_back_as_they_were(docs: Collection) -> None:
    found = docs.get(["d11", "d3"])
    assert [(d.id, d.text, d.attributes) for d in found] == [
        (r["id"], r["text"], {"n": r["n"]}) for r in (rows(11, 12) + rows(3, 4))
    ]


def test_documents_of_many_segments_come_in_the_order_asked(tmp_path: Path) -> None:
    with cenote.create(tmp_path / "docs.cenote", rows(0, 5), RECIPE) as docs:
        for first in range(5, 30, 5):
            docs.add(rows(first, first + 5))
        assert docs.info().segments == 6
        numbers = [29, 3, 17, 0, 3, 11, 24, 8, 17]
        found = docs.get([f"d{n}" for n in numbers])
        assert [(d.id, d.text, d.attributes) for d in found] == [
            (r["id"], r["text"], {"n": r["n"]}) for n in numbers for r in rows(n, n + 1)
        ]
        hits = docs.search("bread", k=30)[0]
        assert {hit.id: hit.text for hit in hits} == {row["id"]: row["text"] for row in rows(0, 30)}


def test_missing_documents_are_named(docs: Collection) -> None:
    with pytest.raises(MissingDocuments, match="'nope'") as error:
        docs.get(["d1", "nope"])
    assert error.value.ids == ["nope"]
    with pytest.raises(MissingDocuments):
        docs.delete(["d1", "nope"])
    assert "d1" in docs


def test_unchanged_documents_are_skipped_and_changed_ones_replaced(docs: Collection) -> None:
    changed = {"id": "d5", "text": "now about something else: umbrellas", "n": 5}
    did = docs.add([*rows(0, 5), changed, *rows(60, 62)])
    assert (did.added, did.changed, did.unchanged) == (2, 1, 5)
    assert len(docs) == 62
    assert docs.get(["d5"])[0].text == changed["text"]
    assert docs.search("umbrellas", k=1)[0][0].id == "d5"
    assert docs.add(rows(0, 5)).version == docs.version, "nothing changed, so nothing was committed"


def test_an_attribute_that_changes_replaces_its_document(docs: Collection) -> None:
    assert docs.add([rows(4, 5)[0] | {"n": 400}]).changed == 1
    assert docs.get(["d4"])[0].attributes == {"n": 400}


def test_deleted_documents_are_gone_for_good(docs: Collection) -> None:
    assert docs.delete(["d1", "d2", "d1"]) == 2
    assert len(docs) == 58
    assert "d1" not in docs
    ids = [hit.id for hit in docs.search(rows(1, 2)[0]["text"], k=60)[0]]
    assert len(ids) == 58
    assert not {"d1", "d2"} & set(ids)
    assert docs.add(rows(1, 2)).added == 1
    assert "d1" in docs


def test_every_commit_is_told_and_adds_up(docs: Collection) -> None:
    told = []
    docs.add(rows(60, 85), commit_every=10, on_commit=told.append)
    assert [(one.committed, one.last_id) for one in told] == [(10, "d69"), (20, "d79"), (25, "d84")]
    assert [one.version for one in told] == sorted({one.version for one in told})


def test_prune_removes_what_is_gone_from_the_same_source(tmp_path: Path) -> None:
    folder, other = tmp_path / "notes", tmp_path / "other"
    for place in (folder, other):
        place.mkdir()
        for name in ("a", "b", "c"):
            (place / f"{name}.txt").write_text(f"{place.name} {name}")
    docs = cenote.create(tmp_path / "docs", [folder, other], RECIPE)
    (folder / "b.txt").unlink()
    (folder / "c.txt").write_bytes(b"\xff\xfe\xff no text any more \xd8")
    did = docs.add([folder, other], prune=True)
    assert did.pruned == 1
    assert docs.ids() == ["notes/a.txt", "notes/c.txt", "other/a.txt", "other/b.txt", "other/c.txt"], (
        "what cannot be read is there all the same"
    )


def test_prune_keeps_what_lies_in_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, listed = tmp_path / "notes", os.scandir
    (folder / "closed").mkdir(parents=True)
    for name in ("a", "b", "closed/c"):
        (folder / f"{name}.txt").write_text(name)
    docs = cenote.create(tmp_path / "docs", folder, RECIPE)
    (folder / "b.txt").unlink()

    def refuse(place: Any) -> Any:
        if str(place).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", refuse)
    did = docs.add(folder, prune=True)
    assert (did.pruned, docs.ids()) == (1, ["a.txt", "closed/c.txt"])
    assert "cannot be listed" in did.skipped[0].reason


def test_prune_keeps_what_a_pattern_may_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, seen = tmp_path / "notes", os.lstat
    (folder / "closed").mkdir(parents=True)
    for name in ("a", "closed/b"):
        (folder / f"{name}.txt").write_text(name)
    docs = cenote.create(tmp_path / "docs", str(folder / "**" / "*.txt"), RECIPE)
    (folder / "closed" / "b.txt").rename(tmp_path / "b.txt")  # as good as hidden for who lists the folder

    def refuse(place: Any, **options: Any) -> Any:
        if Path(place).parent.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return seen(place, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", refuse)
        assert docs.add(str(folder / "**" / "*.txt"), prune=True).pruned == 0
    assert docs.add(str(folder / "**" / "*.txt"), prune=True).pruned == 1


def test_a_pattern_with_an_empty_range_prunes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("rain")
    docs = cenote.create(tmp_path / "docs", tmp_path / "a.txt", RECIPE)
    assert docs.add(str(tmp_path / "[z-a].txt"), prune=True).pruned == 0


def test_a_collection_that_another_process_makes_first_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "docs.cenote"

    @contextmanager
    def made_meanwhile(ray: str | None) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(creating.cluster, "joined", lambda ray: nullcontext())
            cenote.create(place, rows(0, 5), RECIPE).close()
        yield

    monkeypatch.setattr(creating.cluster, "joined", made_meanwhile)
    with pytest.raises(ValueError, match="is a collection already"):
        cenote.create(place, rows(5, 9), RECIPE)
    assert cenote.open(place).ids() == [f"d{n}" for n in range(5)]


def test_a_copy_of_a_manifest_does_not_keep_anybody_from_writing(docs: Collection) -> None:
    newest = max(docs.path.glob("MANIFEST-*"))
    shutil.copy(newest, newest.with_name("MANIFEST-00000001 (copy).json"))
    assert docs.add(rows(60, 61)).added == 1


def test_ids_of_one_call_must_be_unique_and_both_places_are_named(docs: Collection) -> None:
    with pytest.raises(ValueError, match=r"'d70' comes twice: rows, row 0 and rows, row 2"):
        docs.add([*rows(70, 72), *rows(70, 71)])
    assert len(docs) == 60


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.Table.from_pylist, iter])
def test_tables_of_every_library_give_the_same_documents(tmp_path: Path, make: object) -> None:
    docs = cenote.create(tmp_path / "docs", make(rows(0, 5)), RECIPE)  # type: ignore[operator]
    assert [(d.id, d.attributes) for d in docs.get(docs.ids())] == [(f"d{n}", {"n": n}) for n in range(5)]


def test_search_with_vectors_is_search_with_what_they_encode(docs: Collection) -> None:
    vectors = docs.chain.vectors(["bread"], "query")
    assert docs.search_vectors(vectors, 5) == docs.search("bread", 5)


def test_a_second_writer_gets_a_sentence_and_readers_none(docs: Collection) -> None:
    other = cenote.open(docs.path)

    def told(_: object) -> None:
        with pytest.raises(Locked, match="another process is writing"):
            other.add(rows(90, 91))
        assert len(other.search("bread", k=3)[0]) == 3

    docs.add(rows(60, 70), on_commit=told)


def test_a_reader_keeps_its_version_until_it_refreshes(docs: Collection) -> None:
    reader = cenote.open(docs.path)
    docs.delete([f"d{n}" for n in range(50)])
    docs.compact()
    assert len(reader) == 60
    assert reader.search(rows(3, 4)[0]["text"], k=1)[0][0].id == "d3", "its files are still there"
    assert reader.refresh()
    assert len(reader) == 10
    assert not reader.refresh()


def test_reindex_beside_and_in_place_find_the_same(docs: Collection, tmp_path: Path) -> None:
    docs.delete(["d0", "d59"])
    docs.add(rows(60, 75))
    beside = docs.reindex("wordllama | float32 | flat", tmp_path / "other")
    assert docs.recipe == RECIPE
    docs.reindex("wordllama | float32 | flat")
    assert docs.recipe == beside.recipe == "wordllama | float32 | flat"
    assert docs.ids() == beside.ids()
    assert docs.search("copper lantern", k=30) == beside.search("copper lantern", k=30)
    docs.verify()
    beside.verify()


def test_an_index_is_the_same_however_it_was_filled(docs: Collection, tmp_path: Path) -> None:
    parts = cenote.create(tmp_path / "parts", rows(0, 20), RECIPE)
    parts.add(rows(20, 60), commit_every=7)
    for one in ("bread", "glass and pepper"):
        assert sorted(parts.rank([one], 60)[0]) == sorted(docs.rank([one], 60)[0])


def test_fitted_stages_are_kept_for_what_is_added(tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 200), "wordllama | pca 16 | int8 dim | flat | rerank float16 20")
    before = docs.rank(["violin"], 200)[0]
    docs.add(rows(200, 260))
    after = [pair for pair in docs.rank(["violin"], 260)[0] if int(pair[0][1:]) < 200]
    exact = {id for id, _ in before[:20]} & {id for id, _ in after}
    assert dict(before[:5]) == {id: score for id, score in after if id in dict(before[:5])}
    assert exact
    again = cenote.open(docs.path)
    assert again.rank(["violin"], 30) == docs.rank(["violin"], 30)


def test_too_few_documents_for_a_stage_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="pca 200"):
        cenote.create(tmp_path / "docs", rows(0, 60), "wordllama | pca 200 | flat")
    assert not (tmp_path / "docs").exists()


def test_the_bytes_are_those_of_the_arrays(docs: Collection) -> None:
    info = docs.info()
    ids = sum(len(f"d{n}") for n in range(60)) + 4 * 61
    assert info.bytes["payload"] == 60 * (64 + 4)
    assert info.bytes["ids"] == ids
    assert info.bytes["structure"] == 0
    assert info.bytes_per_document == (60 * 68 + ids) / 60
    on_disk = sum(path.stat().st_size for path in docs.path.rglob("*") if path.is_file() and path.suffix != ".json")
    named = info.bytes["disk"]
    assert named <= sum(path.stat().st_size for path in docs.path.rglob("*") if path.is_file())
    assert named > on_disk * 0.9


def test_rerank_copies_count_and_the_first_pass_leaves_them_out(tmp_path: Path) -> None:
    info = cenote.create(tmp_path / "docs", rows(0, 60), "wordllama | binary | flat | rerank float32").info()
    assert info.bytes["payload"] == 60 * (256 // 8 + 4 * 256)
    assert info.bytes_per_document - info.first_pass_bytes_per_document == 4 * 256


def test_a_collection_can_be_emptied_and_filled_again(docs: Collection) -> None:
    docs.delete(docs.ids())
    assert len(docs) == 0
    assert docs.search("bread", k=3) == [[]]
    docs.add(rows(0, 3))
    assert len(docs.search("bread", k=5)[0]) == 3


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda docs: docs.search("bread", k=0), ValueError, "k must be at least 1"),
        (lambda docs: docs.search("bread", k=2.5), TypeError, "whole number"),
        (lambda docs: docs.search("  "), ValueError, "question 0 is empty"),
        (lambda docs: docs.search(["bread", 3]), TypeError, "question 1 must be a string"),
        (lambda docs: docs.search_vectors(np.zeros((1, 3), np.float32)), ValueError, "64"),
        (lambda docs: docs.search_vectors(np.full((1, 64), np.nan, np.float32)), ValueError, "NaN"),
        (lambda docs: docs.get("d1"), TypeError, "list of strings"),
        (lambda docs: docs.add(rows(0, 1), commit_every=0), ValueError, "commit_every"),
        (lambda docs: docs.add({"id": "a", "text": "b"}), TypeError, "one dict"),
        (lambda docs: docs.add([{"id": "a", "body": "b"}]), ValueError, "no column 'text'"),
        (lambda docs: docs.add("/nowhere/at/all"), ValueError, "does not exist"),
        (lambda docs: docs.reindex("wordllama | pca 4000"), RecipeError, "pca"),
        (lambda docs: docs.reindex("minilm |"), RecipeError, "stage"),
        (lambda docs: docs.reindex(RECIPE, memory="1MB"), ValueError, "256MiB"),
    ],
)
def test_bad_input_is_named_and_harms_nothing(docs: Collection, call: object, error: type, said: str) -> None:
    before = docs.rank(["bread"], 60)
    with pytest.raises(error, match=said):
        call(docs)  # type: ignore[operator]
    docs.verify()
    assert cenote.open(docs.path).rank(["bread"], 60) == before


def test_text_that_is_no_unicode_is_a_reported_skip(docs: Collection) -> None:
    did = docs.add([{"id": "x", "text": "half \ud800 a pair"}, {"id": "y", "text": "whole"}])
    assert did.added == 1
    assert "surrogate" in did.skipped[0].reason


@pytest.mark.parametrize("more", [{"tag": "\ud800"}, {"tags": ["whole", "\udfff"]}, {"half\ud800": 1}])
def test_an_attribute_that_is_no_unicode_is_a_reported_skip(docs: Collection, more: dict[str, Any]) -> None:
    did = docs.add([{"id": "x", "text": "rain", **more}, {"id": "y", "text": "bread"}])
    assert (did.added, docs.get(["y"])[0].text) == (1, "bread")
    assert "surrogate" in did.skipped[0].reason


def test_lists_within_lists_are_a_reported_skip(docs: Collection) -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    did = docs.add([Document(str(n), "rain", attributes={"tags": tags}) for n, tags in enumerate([["a"], [[]], deep])])
    assert did.added == 1
    assert ["holds a list" in one.reason for one in did.skipped] == [True, True]


@pytest.mark.parametrize("name", ["line\nbreak", "tab\t", "half\udcff"])
def test_a_folder_that_tables_cannot_lie_in_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name another place"):
        cenote.create(tmp_path / name, rows(0, 5), RECIPE)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_where_a_collection_was_moved_away(docs: Collection) -> None:
    moved = docs.path.rename(docs.path.with_name("moved"))
    for call in (lambda: docs.add(rows(60, 61)), lambda: docs.delete(["d1"]), docs.compact):
        with pytest.raises(ValueError, match="make one with"):
            call()
        assert not docs.path.exists()
    moved.rename(docs.path)
    assert docs.add(rows(60, 61)).added == 1


def test_threads_search_while_another_writes(docs: Collection) -> None:
    ended, failures, answered = threading.Event(), list[Exception](), [0]

    def ask() -> None:
        while not ended.is_set():
            try:
                found = docs.search("number 7: rain", k=3)
                assert docs.get([found[0][0].id])
                answered[0] += 1
            except Exception as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(12):
            docs.add(rows(100 + 3 * n, 103 + 3 * n))
            docs.delete([f"d{100 + 3 * n}"])
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert answered[0]
    assert len(docs) == 60 + 24


def test_more_is_asked_for_than_there_is(docs: Collection) -> None:
    for passages in (False, True):
        assert len(docs.search("bread", k=10**9, passages=passages)[0]) == len(docs)


@pytest.mark.parametrize("name", ["a:b", "s3:x", "file:x", "~"])
def test_a_collection_lies_where_its_relative_path_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with cenote.create(name, rows(0, 5), RECIPE) as made:
        assert made.get(["d3"])[0].text.startswith("number 3")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "ask",
    [
        lambda docs: docs.search("bread"),
        lambda docs: docs.rank(["bread"], 3),
        lambda docs: docs.get(["d1"]),
        lambda docs: docs.ids(),
        lambda docs: "d1" in docs,
        lambda docs: docs.info(),
        lambda docs: docs.verify(),
        lambda docs: docs.refresh(),
        lambda docs: docs.add(rows(3, 4)),
        lambda docs: docs.delete(["d1"]),
        lambda docs: docs.compact(),
        lambda docs: docs.reindex(RECIPE),
    ],
)
def test_a_closed_collection_says_so_and_is_not_changed(ask: Callable[[Collection], object], tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 3), RECIPE)
    docs.close()
    docs.close()
    with pytest.raises(ValueError, match="is closed; open it again"):
        ask(docs)
    with cenote.open(tmp_path / "docs") as again:
        assert again.ids() == ["d0", "d1", "d2"]
        assert again.version == docs.version
