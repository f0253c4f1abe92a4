"""Rows from Python: iterables of dicts, tables of pandas, polars and Arrow, and mixtures of these with paths."""

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cenote.data import Document, Skipped, read

ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "first", "year": 1990, "score": 1.5, "ok": True, "tag": "x"},
    {"id": "b", "text": "second", "year": 2001, "score": 2.5, "ok": False, "tag": None},
]


class Dataset:
    """As much of `datasets.Dataset` as a reader sees: rows by number, and in order."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self._rows[row]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)


MAKERS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": lambda rows: (row for row in rows),
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "arrow": pa.Table.from_pylist,
    "arrow reader": lambda rows: pa.Table.from_pylist(rows).to_reader(max_chunksize=1),
    "dataset": Dataset,
}
every_table = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def documents(sources: Any, **options: Any) -> list[Document]:
    """The documents of a source in which nothing may be skipped."""
    found = list(read(sources, **options))
    assert all(isinstance(one, Document) for one in found), found
    return [one for one in found if isinstance(one, Document)]


@every_table
def test_a_row_is_a_document_whatever_holds_it(make: Callable[..., Any]) -> None:
    assert documents(make(ROWS)) == [
        Document("a", "first", attributes={"year": 1990, "score": 1.5, "ok": True, "tag": "x"}),
        Document("b", "second", attributes={"year": 2001, "score": 2.5, "ok": False, "tag": None}),
    ]


@every_table
def test_values_are_those_of_python_not_of_a_library(make: Callable[..., Any]) -> None:
    for document in documents(make(ROWS)):
        assert {type(value) for value in document.attributes.values()} <= {int, float, bool, str, type(None)}


@every_table
def test_rows_without_ids_are_numbered(make: Callable[..., Any]) -> None:
    assert [d.id for d in documents(make([{"text": "x"}, {"text": "y"}]))] == ["rows#0", "rows#1"]


@every_table
def test_numbers_as_ids_become_text(make: Callable[..., Any]) -> None:
    assert [d.id for d in documents(make([{"id": 7, "text": "x"}, {"id": 8, "text": "y"}]))] == ["7", "8"]


@every_table
def test_the_text_may_be_in_a_column_of_any_name(make: Callable[..., Any]) -> None:
    (document,) = documents(make([{"body": "x", "text": "not this"}]), text_column="body")
    assert (document.text, document.attributes) == ("x", {"text": "not this"})


@every_table
def test_a_table_without_a_column_of_text_lists_the_columns_it_has(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"no column 'text'; its columns are id, body.*text_column="):
        list(read(make([{"id": "a", "body": "x"}])))


@every_table
def test_a_row_whose_text_is_missing_is_skipped_alone(make: Callable[..., Any]) -> None:
    found = list(read(make([{"id": "a", "text": "x"}, {"id": "b", "text": None}, {"id": "c", "text": "z"}])))
    assert [one.id if isinstance(one, Document) else one.kind for one in found] == ["a", "no text", "c"]


@every_table
def test_one_id_twice_names_both_rows(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="'a' comes twice: rows, row 0 and rows, row 2"):
        list(read(make([{"id": id, "text": ""} for id in "aba"])))


@every_table
def test_dates_become_iso_text(make: Callable[..., Any]) -> None:
    (document,) = documents(make([{"text": "x", "moment": datetime.datetime(2020, 1, 2, 3, 4, 5)}]))
    assert document.attributes == {"moment": "2020-01-02T03:04:05"}


@every_table
def test_lists_stay_lists(make: Callable[..., Any]) -> None:
    (document,) = documents(make([{"text": "x", "tags": ["a", "b"], "years": [1, 2]}]))
    assert document.attributes == {"tags": ["a", "b"], "years": [1, 2]}


def test_missing_values_of_every_library_are_none() -> None:
    table = pd.DataFrame(
        {
            "text": ["x"],
            "a": [np.nan],
            "b": [pd.NaT],
            "c": pd.array([None], dtype="Int64"),
            "d": pd.array([None], dtype="string"),
            "e": [None],
        }
    )
    assert documents(table)[0].attributes == dict.fromkeys("abcde")


@pytest.mark.parametrize("dtype", ["string", "Int64", "object"])
def test_a_missing_id_of_pandas_is_made_of_the_row(dtype: str) -> None:
    table = pd.DataFrame({"id": pd.array([None], dtype=dtype), "text": ["x"]})
    assert [d.id for d in documents(table)] == ["rows#0"]


def test_values_of_numpy_are_plain_afterwards() -> None:
    row = {
        "text": "x",
        "a": np.float32(1.5),
        "b": np.int8(3),
        "c": np.bool_(True),
        "d": np.array([1, 2]),
        "e": np.str_("s"),
    }
    (document,) = documents([row])
    assert document.attributes == {"a": 1.5, "b": 3, "c": True, "d": [1, 2], "e": "s"}
    assert type(document.attributes["b"]) is int


def test_documents_are_taken_as_they_are() -> None:
    made = [Document("a", "text", "book", ((0, 1),), ((0, 1, "T"),), {"year": 1}), Document("b", "")]
    assert list(read(made)) == made


def test_rows_are_taken_one_at_a_time() -> None:
    taken = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(1000):
            taken.append(number)
            yield {"text": "x"}

    found = read(rows())
    assert taken == []
    next(found)
    next(found)
    assert len(taken) <= 2


def test_paths_and_tables_may_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("file")
    found = documents([pl.DataFrame({"id": ["p"], "text": [""]}), tmp_path, pd.DataFrame({"id": ["q"], "text": [""]})])
    assert [d.id for d in found] == ["p", f"{tmp_path.name}/a.txt", "q"]


def test_two_tables_without_ids_do_not_collide() -> None:
    assert len(documents([pd.DataFrame({"text": ["x"]}), pd.DataFrame({"text": ["y"]})])) == 2


def test_an_empty_table_holds_no_documents() -> None:
    assert documents(pd.DataFrame({"text": []})) == []
    assert documents(iter(())) == []


@pytest.mark.parametrize("source", [None, 3, b"path", {"text": "x"}, object(), 1.5])
def test_what_is_no_source_is_said_to_be_none(source: Any) -> None:
    with pytest.raises(TypeError, match="must be paths, tables or iterables of dicts"):
        list(read(source))


@pytest.mark.parametrize("rows", [("a text" for _ in range(1)), {"a text"}, (3 for _ in range(1))])
def test_rows_that_are_no_dicts_say_that_dicts_are_wanted(rows: Any) -> None:
    with pytest.raises(TypeError, match="row 0 must be a dict"):
        list(read(rows))


def test_rows_do_not_mix_with_paths_in_one_list(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="list of their own"):
        list(read([{"text": "x"}, tmp_path]))


def test_a_text_taken_for_a_path_is_said_to_be_missing() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        list(read(["just some words"]))


def test_a_skipped_row_says_where_it_was() -> None:
    (found,) = read([{"text": 3}])
    assert isinstance(found, Skipped)
    assert (found.source, found.kind) == ("rows", "no text")
    assert "row 0" in found.reason


def endless() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["itself"] = found
    return found


def deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize("value", [endless(), deep(100_000), {(1, 2): 3}], ids=["endless", "deep", "keys"])
def test_a_row_with_what_is_no_json_is_skipped_alone(value: Any) -> None:
    found = list(read([{"id": "a", "text": "first", "more": value}, {"id": "b", "text": "second"}]))
    assert [isinstance(one, Skipped) for one in found] == [True, False]


@pytest.mark.parametrize(("name", "value"), [("id", 5), ("text", b"bytes"), ("source", None)])
def test_a_document_made_by_hand_must_hold_text(name: str, value: Any) -> None:
    made = Document(**({"id": "a", "text": "first"} | {name: value}))
    with pytest.raises(TypeError, match=f"row 0 is a Document whose {name} must be a string"):
        list(read([made]))


@pytest.mark.parametrize(
    "table",
    [
        pa.table([["first"], [1], [2]], names=["text", "year", "year"]),
        pa.table([["first"], [1], [2]], names=["text", "year", "year"]).to_reader(),
        pd.DataFrame([["first", 1, 2]], columns=["text", "year", "year"]),
    ],
    ids=["arrow", "reader", "pandas"],
)
def test_a_table_with_two_columns_of_one_name_is_refused(table: Any) -> None:
    with pytest.raises(ValueError, match="two columns 'year'"):
        list(read(table))
