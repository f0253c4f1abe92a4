"""BEIR folders: the corpus alone, its titles before its texts, its own ids."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cenote.data import Document, read

CRANFIELD = Path(os.environ.get("CENOTE_DATA", "")) / "cranfield"
needs_cranfield = pytest.mark.skipif(
    not (CRANFIELD / "corpus.jsonl.gz").is_file(), reason="cranfield is not under CENOTE_DATA"
)


def beir(folder: Path, *rows: dict[str, Any], packed: bool = False) -> Path:
    """A folder as BEIR lays it out."""
    (folder / "qrels").mkdir(parents=True)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    name = "corpus.jsonl.gz" if packed else "corpus.jsonl"
    (folder / name).write_bytes(gzip.compress(content) if packed else content)
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "a question"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\t1\t1\n")
    (folder / "readme.md").write_text("# About")
    return folder


def documents(source: Path) -> list[Document]:
    found = list(read(source))
    assert all(isinstance(one, Document) for one in found), found
    return [one for one in found if isinstance(one, Document)]


@pytest.mark.parametrize("packed", [False, True])
def test_only_the_corpus_of_a_beir_folder_is_read(tmp_path: Path, packed: bool) -> None:
    folder = beir(tmp_path / "set", {"_id": "1", "title": "T", "text": "x"}, packed=packed)
    assert [d.id for d in documents(folder)] == ["1"]


def test_a_document_is_its_title_a_space_and_its_text(tmp_path: Path) -> None:
    (document,) = documents(beir(tmp_path / "set", {"_id": "1", "title": "On wings", "text": "They lift."}))
    assert (document.text, document.attributes) == ("On wings They lift.", {"title": "On wings"})


@pytest.mark.parametrize("row", [{"title": ""}, {"title": None}, {}])
def test_without_a_title_there_is_no_space(tmp_path: Path, row: dict[str, Any]) -> None:
    (document,) = documents(beir(tmp_path / "set", {"_id": "1", "text": "They lift."} | row))
    assert document.text == "They lift."


def test_metadata_become_attributes(tmp_path: Path) -> None:
    row = {"_id": "1", "title": "T", "text": "x", "metadata": {"url": "http://a", "year": 1990, "deep": {"a": 1}}}
    (document,) = documents(beir(tmp_path / "set", row))
    assert document.attributes["url"] == "http://a"
    assert document.attributes["year"] == 1990
    assert "metadata" not in document.attributes


def test_a_corpus_by_itself_is_read_the_same_way(tmp_path: Path) -> None:
    folder = beir(tmp_path / "set", {"_id": "1", "title": "T", "text": "x"})
    assert [d.text for d in documents(folder / "corpus.jsonl")] == ["T x"]


def test_a_title_stands_before_the_text_in_a_corpus_only(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"_id": "1", "title": "T", "text": "x"}\n')
    (document,) = documents(tmp_path / "other.jsonl")
    assert (document.text, document.attributes) == ("x", {"title": "T"})


def test_a_beir_folder_may_lie_among_others(tmp_path: Path) -> None:
    beir(tmp_path / "set", {"_id": "1", "text": "x"})
    (tmp_path / "notes.txt").write_text("y")
    assert [d.id for d in documents(tmp_path)] == ["notes.txt", "1"]


@needs_cranfield
def test_cranfield_is_what_its_lines_say() -> None:
    with gzip.open(CRANFIELD / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found = documents(CRANFIELD)
    assert [d.id for d in found] == [row["_id"] for row in rows]
    assert [d.text for d in found] == [f"{row['title']} {row['text']}" if row["title"] else row["text"] for row in rows]
    assert {d.source for d in found} == {str(CRANFIELD / "corpus.jsonl.gz")}
