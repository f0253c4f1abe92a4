"""Filters: SQL over the attributes, one expression and no more."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shelf import RECIPE, rows

import cenote
from cenote.collection import Collection
from cenote.collection.attributes import Schema
from cenote.collection.filters import fitted


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    docs = cenote.create(tmp_path_factory.mktemp("filters") / "docs", rows(0, 30), RECIPE)
    docs.add(rows(30, 40, colour="red", tags=["a", "b"], share=0.5))
    docs.add(rows(40, 50, colour="blue", n=40.5))
    docs.delete(["d33", "d3"])
    return docs


def found(docs: Collection, where: str) -> set[int]:
    return {int(hit.id[1:]) for hit in docs.search("bread", k=100, where=where)[0]}


LIVE = set(range(50)) - {3, 33}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("n < 5", {0, 1, 2, 4}),
        ("colour = 'red'", set(range(30, 40)) - {33}),
        ("colour is null", set(range(30)) - {3}),
        ("not (colour = 'red')", set(range(40, 50))),
        ("colour = 'red' or n = 7", set(range(30, 40)) - {33} | {7}),
        ("array_contains(tags, 'a') and n > 35", set(range(36, 40))),
        ("share is not null and n > 35", set(range(36, 40))),
        ("n = 40.5", set(range(40, 50))),
        ("id in ('d1', 'd33', 'd49')", {1, 49}),
        ("text like '%violin and%'", {n for n in LIVE if n % 12 == 4}),
        ("COLOUR = 'red' AND N > 38", {39}),
        ("1 = 2", set()),
    ],
)
def test_a_filter_keeps_what_it_holds_for_also_where_segments_lack_the_column(
    docs: Collection, where: str, expected: set[int]
) -> None:
    assert found(docs, where) == expected


def test_k_hits_come_whenever_k_documents_match(docs: Collection) -> None:
    assert len(docs.search("bread", k=3, where="n between 20 and 22")[0]) == 3


@pytest.mark.parametrize(
    "where",
    [
        "1=1; drop table rows",
        "1=1) or (1=1",
        "1=1 limit 1",
        "n = 1 -- x",
        "n = 1 /* x",
        "nope = 1",
        "n =",
        "n",
        "'open",
        "(n = 1",
        "",
        "select 1",
        "n = 'x' x",
    ],
)
def test_what_is_no_single_condition_is_refused(docs: Collection, where: str) -> None:
    with pytest.raises(ValueError, match="where"):
        docs.search("bread", where=where)
    docs.verify()


def test_an_unknown_column_is_told_those_there_are(docs: Collection) -> None:
    with pytest.raises(ValueError, match=r"nope.*Known: id, source, text, n, colour, tags, share"):
        docs.search("bread", where="nope = 1")


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=30))
@example("id = :0")
def test_no_text_at_all_breaks_out_of_the_brackets(docs: Collection, where: str) -> None:
    try:
        ids = found(docs, f"1 = 2 and ({where})")
    except ValueError:
        return
    assert ids == set()


def test_what_stands_in_for_a_column_stands_outside_quotes_only() -> None:
    where = "colour = 'colour' and `colour` is null and n > 1.5 and x = \"n\""
    types = {"colour": "string", "n": "double", "x": "bool"}
    assert fitted(where, types, {"n": "int64", "x": "bool"}) == (
        "CAST(NULL AS STRING) = 'colour' and CAST(NULL AS STRING) is null and CAST(`n` AS DOUBLE) > 1.5 and x = \"n\""
    )


def test_types_are_fixed_by_the_first_value_and_integers_widen(docs: Collection) -> None:
    before = len(docs)
    did = docs.add([*rows(60, 61, colour=3), *rows(61, 62, colour="green"), *rows(62, 63, n="many")])
    assert did.added == 1
    assert len(docs) == before + 1
    assert ["colour" in one.reason or "'n'" in one.reason for one in did.skipped] == [True, True]
    docs.delete(["d61"])


def test_own_names_get_an_underscore_and_dots_go() -> None:
    schema = Schema()
    assert schema.take({"text": 1, "Hash": 2, "a.b": 3, "plain": None}) == {
        "text_": 1,
        "Hash_": 2,
        "a_b": 3,
        "plain": None,
    }
    assert schema.types == {"text_": "int64", "Hash_": "int64", "a_b": "int64"}


@pytest.mark.parametrize("value", [object(), [1, "a"], [[1]], 2**70, {"a": 1}])
def test_values_of_no_type_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="attribute 'x'"):
        Schema().take({"x": value})


def test_conditions_that_would_end_the_process_are_refused(tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 20), RECIPE)
    many = " or ".join(f"n = {n}" for n in range(190))
    assert len(docs.search("number", k=30, where=many)[0]) == 20
    in_list = f"n in ({', '.join(map(str, range(5_000)))})"
    assert len(docs.search("number", k=30, where=in_list)[0]) == 20
    nested = "coalesce(" * 15 + "n" + ", 1)" * 15 + " = 1"
    chained = "n" + " between 1" * 12
    casts, lists = "n" + "::int" * 3_000 + " = 1", "n" + " in (1)" * 3_000
    for where in ("n = " + "1 + " * 500 + "1", "(" * 60 + "n = 1" + ")" * 60, casts, lists, nested, chained):
        with pytest.raises(ValueError, match="operators|more than 8 times"):
            docs.search("number", where=where)


@pytest.mark.parametrize("name", ["place", "HASH", "`key`"])
def test_columns_that_the_collection_keeps_for_itself_are_no_users(name: str, tmp_path: Path) -> None:
    docs = cenote.create(tmp_path / "docs", rows(0, 5), RECIPE)
    with pytest.raises(ValueError, match="keeps for itself"):
        docs.search("number", where=f"{name} is not null")
    assert docs.search("number", where="text <> 'place'")[0]


def test_an_attribute_with_marks_in_its_name_is_read_again(tmp_path: Path) -> None:
    strange = {"a`b": 1, 'c"d': 2, "e.f": 3, "g h": 4, "ü": 5}
    with cenote.create(tmp_path / "docs", [{"id": "x", "text": "bread", **strange}], RECIPE) as docs:
        assert docs.search("bread", where="`ü` = 5 and `g h` = 4 and a_b = 1")[0][0].attributes == {
            "a_b": 1, 'c"d': 2, "e_f": 3, "g h": 4, "ü": 5
        }  # fmt: skip
        docs.add([{"id": "y", "text": "rain", **strange}])
        docs.compact()
        assert docs.get(["y"])[0].attributes["a_b"] == 1
