"""Files with a document a row: jsonl, json, csv, tsv and parquet, packed or not."""

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cenote.data.rows
from cenote.data import Document, Skipped, read

ROWS = [{"id": "a", "text": "first", "year": 1990}, {"id": "b", "text": "second", "year": 2001}]
DOCUMENTS = [("a", "first", {"year": 1990}), ("b", "second", {"year": 2001})]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
shares_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows the way the standard tool for that suffix does."""
    name, packed = path.name.removesuffix(".gz"), path.suffix == ".gz"
    if name.endswith(".parquet"):
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    if name.endswith(("l", "ndjson")):
        content = "".join(json.dumps(row) + "\n" for row in rows)
    elif name.endswith("json"):
        content = json.dumps(rows, indent=1, ensure_ascii=False)
    else:
        file = io.StringIO(newline="")
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t" if name.endswith("tsv") else ",")
        table.writeheader()
        table.writerows(rows)
        content = file.getvalue()
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    return path


def documents(path: Path, **options: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Id, text and attributes of a source in which nothing may be skipped."""
    found = list(read(path, **options))
    assert all(isinstance(one, Document) for one in found), found
    return [(one.id, one.text, one.attributes) for one in found if isinstance(one, Document)]


def attributes(path: Path) -> list[dict[str, Any]]:
    return [found for _, _, found in documents(path)]


# What every format promises.

every_format = pytest.mark.parametrize(
    "name", ["a.jsonl", "a.ndjson", "a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz", "a.json.gz", "a.csv.gz"]
)


@every_format
def test_a_row_is_a_document_and_its_other_columns_are_attributes(tmp_path: Path, name: str) -> None:
    assert documents(write(tmp_path / name, ROWS)) == DOCUMENTS


@every_format
def test_a_row_without_an_id_is_called_by_its_file_and_its_number(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"text": "x", "n": 1}, {"text": "y", "n": 2}])
    assert [id for id, _, _ in documents(path)] == [f"{name}#0", f"{name}#1"]


@every_format
def test_the_source_of_a_row_is_its_file_and_a_column_of_that_name_stays(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"id": "a", "text": "x", "source": "a book"}])
    (document,) = read(path)
    assert isinstance(document, Document)
    assert (document.source, document.attributes) == (str(path), {"source": "a book"})


@every_format
def test_the_text_may_be_in_a_column_of_any_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"id": "a", "body": "x", "text": "not this"}])
    assert documents(path, text_column="body") == [("a", "x", {"text": "not this"})]


@every_format
def test_a_file_without_a_column_of_text_lists_the_columns_it_has(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"id": "a", "body": "x", "year": 1}])
    with pytest.raises(ValueError, match=rf"{name}.* no column 'text'; its columns are id, body, year.*--text-column"):
        list(read(path))


@every_format
def test_such_a_file_that_nobody_named_is_only_skipped(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, [{"id": "a", "body": "x"}, {"id": "b", "body": "y"}])
    (tmp_path / "z.txt").write_text("read")
    found = list(read(tmp_path))
    assert [type(one) for one in found] == [Skipped, Document]
    assert isinstance(found[0], Skipped)
    assert found[0].kind == "no text"


@every_format
def test_rows_in_a_folder_are_called_by_the_path_of_their_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / name, [{"text": "x", "n": 1}])
    assert [id for id, _, _ in documents(tmp_path)] == [f"in/{name}#0"]


@every_format
def test_one_id_twice_is_an_error_that_names_both_rows(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"id": id, "text": "x"} for id in ("a", "b", "c", "b")])
    with pytest.raises(ValueError, match=rf"'b' comes twice: \S*{name}, row 1 and \S*{name}, row 3"):
        list(read(path))


@every_format
def test_reading_can_stop_anywhere(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    assert documents(path, limit=1) == DOCUMENTS[:1]


# Ids and texts.


def test_an_underscored_id_goes_before_a_plain_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": "plain", "_id": "under", "text": "x"}])
    assert documents(path) == [("under", "x", {"id": "plain"})]


@pytest.mark.parametrize(("id", "expected"), [(7, "7"), ("007", "007"), (1.5, "1.5"), (0, "0"), ("", "")])
def test_an_id_is_kept_as_text(tmp_path: Path, id: Any, expected: str) -> None:
    assert documents(write(tmp_path / "a.jsonl", [{"id": id, "text": "x"}]))[0][0] == expected


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_missing_id_is_made_of_the_row(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"id": "a", "text": "x"}, {"id": None, "text": "y"}])
    assert [id for id, _, _ in documents(path)] == ["a", f"{name}#1"]


def test_ids_in_a_csv_keep_their_zeros(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n007,x\n0010,y\n")
    assert [id for id, _, _ in documents(tmp_path / "a.csv")] == ["007", "0010"]


def test_an_empty_text_is_an_empty_document(tmp_path: Path) -> None:
    assert documents(write(tmp_path / "a.jsonl", [{"id": "a", "text": ""}])) == [("a", "", {})]


@pytest.mark.parametrize("value", [None, 3, 1.5, True, ["x"], {"x": 1}, float("nan")])
def test_a_row_whose_text_is_no_string_is_skipped_alone(tmp_path: Path, value: Any) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "x"}, {"text": value}, {"text": "y"}])
    first, bad, last = read(path)
    assert isinstance(bad, Skipped)
    assert (bad.kind, bad.source) == ("no text", str(path))
    assert "row 1" in bad.reason
    assert isinstance(first, Document)
    assert isinstance(last, Document)
    assert (first.id, last.id) == ("a.jsonl#0", "a.jsonl#2")


def test_a_later_row_without_the_column_is_skipped_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "x"}, {"other": 1}, {"text": "y"}])
    assert [type(one) for one in read(path)] == [Document, Skipped, Document]


def test_one_id_in_two_files_names_both(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"id": "x", "text": ""}])
    write(tmp_path / "b.csv", [{"id": "y", "text": "1"}, {"id": "x", "text": "2"}])
    with pytest.raises(ValueError, match=r"'x' comes twice: \S*a\.jsonl, row 0 and \S*b\.csv, row 1"):
        list(read(tmp_path))


def test_a_row_may_not_have_the_id_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    write(tmp_path / "b.jsonl", [{"id": "a.txt", "text": ""}])
    with pytest.raises(ValueError, match=r"'a.txt' comes twice: \S*a\.txt and \S*b\.jsonl, row 0"):
        list(read(tmp_path))


# Attributes.


@pytest.mark.parametrize("value", ["x", "", 3, -1, 1.5, True, False, None, ["a", "b"], [1, 2], [], "2020-01-01"])
def test_plain_values_and_lists_of_them_stay_what_they_are(tmp_path: Path, value: Any) -> None:
    (found,) = attributes(write(tmp_path / "a.jsonl", [{"text": "x", "v": value}]))
    assert found == {"v": value}
    assert type(found["v"]) is type(value)


@pytest.mark.parametrize("value", [{"a": [1, "ü"]}, {}, [{"a": 1}], [[1], [2]]])
def test_deeper_values_are_kept_as_json(tmp_path: Path, value: Any) -> None:
    (found,) = attributes(write(tmp_path / "a.jsonl", [{"text": "x", "v": value}]))
    assert json.loads(found["v"]) == value


def test_what_is_no_number_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x", "v": NaN}')
    assert attributes(tmp_path / "a.jsonl") == [{"v": None}]


def test_dates_become_iso_text(tmp_path: Path) -> None:
    import datetime

    rows = [{"text": "x", "day": datetime.date(2020, 1, 2), "moment": datetime.datetime(2020, 1, 2, 3, 4, 5)}]
    assert attributes(write(tmp_path / "a.parquet", rows)) == [{"day": "2020-01-02", "moment": "2020-01-02T03:04:05"}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", "3"], [1, -2, 3]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1", "x"], ["1", "x"]),
        (["", "1"], [None, 1]),
        (["", "x"], [None, "x"]),
        (["nan", "1"], ["nan", "1"]),
        (["1e3", "1"], ["1e3", "1"]),
        (["1_000", "2"], ["1_000", "2"]),
        ([" 1", "2"], [" 1", "2"]),
        (["+1", "2"], ["+1", "2"]),
        (["true", "false"], ["true", "false"]),
        (["2020-01-01", "2020-01-02"], ["2020-01-01", "2020-01-02"]),
    ],
)
def test_a_column_of_a_csv_is_numbers_where_every_value_is_one(
    tmp_path: Path, values: list[str], expected: list[Any]
) -> None:
    path = write(tmp_path / "a.csv", [{"text": "x", "v": value} for value in values])
    found = [row["v"] for row in attributes(path)]
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_numbers_with_zeros_in_front_are_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,zip\nx,01234\ny,98765\n")
    assert attributes(tmp_path / "a.csv") == [{"zip": "01234"}, {"zip": "98765"}]


def test_a_text_of_digits_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\na,123\n")
    assert documents(tmp_path / "a.csv", text_column="body") == [("a", "123", {})]


# Laws.


@shares_a_folder
@given(texts=st.lists(TEXT, min_size=1, max_size=5), name=st.sampled_from(["a.jsonl", "a.json", "a.parquet"]))
def test_whatever_was_written_comes_back(tmp_path: Path, texts: list[str], name: str) -> None:
    path = write(tmp_path / name, [{"text": text, "copy": text} for text in texts])
    assert [(text, found["copy"]) for _, text, found in documents(path)] == [(text, text) for text in texts]


@shares_a_folder
@given(texts=st.lists(TEXT.filter(bool), min_size=1, max_size=5), name=st.sampled_from(["a.csv", "a.tsv"]))
def test_whatever_was_written_as_a_table_comes_back(tmp_path: Path, texts: list[str], name: str) -> None:
    path = write(tmp_path / name, [{"id": f"{i}", "text": text} for i, text in enumerate(texts)])
    assert documents(path) == [(f"{i}", text, {}) for i, text in enumerate(texts)]


@shares_a_folder
@given(values=st.lists(st.integers(-(2**62), 2**62) | st.none(), min_size=1, max_size=5))
def test_whole_numbers_in_a_table_come_back(tmp_path: Path, values: list[int | None]) -> None:
    path = write(tmp_path / "a.csv", [{"text": "x", "v": value} for value in values])
    assert [found["v"] for found in attributes(path)] == values


@shares_a_folder
@given(content=st.binary(max_size=200), name=st.sampled_from(["jsonl", "json", "csv", "tsv", "parquet", "csv.gz"]))
def test_any_bytes_are_rows_or_said_to_be_none(tmp_path: Path, content: bytes, name: str) -> None:
    folder = tmp_path / "any"
    folder.mkdir(exist_ok=True)
    path = folder / f"a.{name}"
    path.write_bytes(content)
    try:
        # in a folder, so that no column of text is no error
        assert all(isinstance(one, Document | Skipped) for one in read(folder))
    finally:
        path.unlink()


# What is broken.


def test_a_line_that_is_no_json_is_skipped_alone_and_moves_no_id(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n\n{"text": \n[1]\n3\n{"text": "y"}\n')
    found = list(read(tmp_path / "a.jsonl"))
    assert [one.kind if isinstance(one, Skipped) else one.id for one in found] == [
        "a.jsonl#0",
        "not a row",
        "not a row",
        "not a row",
        "a.jsonl#4",
    ]
    assert [f"line {n}" in one.reason for n, one in zip((3, 4, 5), found[1:4], strict=True) if isinstance(one, Skipped)]


def test_a_row_with_too_many_fields_is_skipped_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\na,x\nb,y,z\nc\nd,w\n")
    found = list(read(tmp_path / "a.csv"))
    assert [one.kind if isinstance(one, Skipped) else one.id for one in found] == ["a", "not a row", "not a row", "d"]
    assert [one.reason.split(" has")[0] for one in found if isinstance(one, Skipped)] == ["line 3", "line 4"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.jsonl.gz"])
def test_rows_that_are_not_utf_8_end_their_file_alone(tmp_path: Path, name: str) -> None:
    content = b'{"text": "\xff"}' if "json" in name else b"id,text\na,\xff\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (tmp_path / "b.txt").write_text("read")
    bad, good = read(tmp_path)
    assert isinstance(bad, Skipped)
    assert (bad.kind, bad.source) == ("not UTF-8", str(tmp_path / name))
    assert isinstance(good, Document)


def test_the_byte_that_is_not_utf_8_is_counted_from_the_beginning(tmp_path: Path) -> None:
    content = b'{"text": "' + b"a" * 20_000 + b'"}\n{"text": "\xff"}\n'
    (tmp_path / "a.jsonl").write_bytes(content)
    *_, bad = read(tmp_path / "a.jsonl")
    assert isinstance(bad, Skipped)
    assert f"byte {content.index(0xFF)}" in bad.reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[" * 100_000),
        ("a.parquet", b""),
        ("a.parquet", b"PAR1 none PAR1"),
        ("a.jsonl.gz", b"not packed"),
        ("a.csv.gz", gzip.compress(b"id,text\na,x\n" * 99)[:20]),
    ],
    ids=["open", "deep", "empty", "marks only", "not packed", "cut"],
)
def test_a_file_that_is_not_what_it_says_is_skipped(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    (found,) = read(tmp_path / name)
    assert isinstance(found, Skipped)
    assert found.kind == "unreadable"


def test_what_came_before_the_end_of_a_cut_file_is_read(tmp_path: Path) -> None:
    content = b"".join(b'{"id": %d, "text": "x"}\n' % i for i in range(9))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content)[:-8])
    *good, bad = read(tmp_path / "a.jsonl.gz")
    assert [one.id for one in good if isinstance(one, Document)] == [f"{i}" for i in range(9)]
    assert isinstance(bad, Skipped)


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", ""), ("a.csv", ""), ("a.csv", "x,y\n"), ("a.json", "[]")])
def test_no_rows_are_no_documents(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert documents(tmp_path / name) == []


def test_one_object_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": "a", "text": "x"}')
    assert documents(tmp_path / "a.json") == [("a", "x", {})]


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\na,x\n", encoding="utf-8-sig")
    assert documents(tmp_path / "a.csv") == [("a", "x", {})]


def test_a_field_may_hold_a_whole_document(tmp_path: Path) -> None:
    text = 'a line, with "quotes"\n' * 20_000
    assert documents(write(tmp_path / "a.csv", [{"id": "a", "text": text}])) == [("a", text, {})]


# Memory.


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.jsonl.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    rows, length = 1500, 10_000
    path = write(tmp_path / name, [{"id": f"{i}", "text": "x" * length} for i in range(rows)])
    tracemalloc.start()
    try:
        count = sum(isinstance(one, Document) for one in read(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == rows
    assert peak < rows * length / 5


@pytest.mark.parametrize("digits", [19, 5000])
def test_numbers_of_more_digits_than_a_number_holds_stay_text(tmp_path: Path, digits: int) -> None:
    path, code = tmp_path / "a.csv", "9" * digits
    path.write_text(f"text,code,most\nfirst,{code},1\nsecond,5,{2**63 - 1}\n")
    assert attributes(path) == [{"code": code, "most": 1}, {"code": "5", "most": 2**63 - 1}]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz"])
def test_a_packed_row_without_end_is_left_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(cenote.data.rows, "MOST", 1000)
    path = tmp_path / name
    path.write_bytes(gzip.compress(b'{"text": "' + b"a" * 10**6 + b'"}'))
    assert [one.kind for one in read(path) if isinstance(one, Skipped)] == ["too large"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_two_columns_of_one_name_are_reported_and_neither_is_taken_for_the_other(name: str, tmp_path: Path) -> None:
    if name == "a.parquet":
        table = pa.table([["first"], [1], [2]], names=["text", "year", "year"])
        parquet.write_table(table, tmp_path / name)
    else:
        mark = "," if name == "a.csv" else "\t"
        (tmp_path / name).write_text(
            "\n".join(mark.join(row) for row in (["text", "year", "year"], ["first", "1", "2"]))
        )
    (tmp_path / "b.csv").write_text("text,year\nsecond,3\n")
    skipped, kept = read(tmp_path)
    assert isinstance(skipped, Skipped)
    assert skipped.reason.endswith("two columns 'year'; rename one")
    assert isinstance(kept, Document)
    assert kept.text == "second"


def test_columns_without_a_name_are_told_apart_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,,year,,\nfirst,1,1990,2,\n")
    assert documents(tmp_path / "a.csv") == [("a.csv#0", "first", {"": 1, "year": 1990, "4": 2, "5": None})]
