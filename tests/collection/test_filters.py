"""Filters: SQL over the attributes, one expression and no more."""

import re
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


def refused(docs: Collection, where: str) -> str:
    with pytest.raises(ValueError, match="where") as caught:
        docs.search("bread", where=where)
    return str(caught.value)


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


ALL = "there are id, source, text, n, colour, tags, share"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("nope = 1", f"no attribute `nope`; {ALL}"),
        ("colur = 'red' and n > 1", f"no attribute `colur`; nearest: `colour`; {ALL}"),
        ("lower(Sorce) = 'a'", f"no attribute `Sorce`; nearest: `source`; {ALL}"),
        ("`n o` is null", f"no attribute `n o`; nearest: `n`; {ALL}"),
        ("meta.colour = 'a'", f"no attribute `meta.colour`; nearest: `colour`; {ALL}"),
        ("text = bread", f"no attribute `bread`; a text is written 'bread'; {ALL}"),
        ("place_ = 1 and n > 2", "no attribute `place_`"),
    ],
)
def test_an_unknown_attribute_is_named_with_the_nearest_and_those_there_are(
    docs: Collection, where: str, said: str
) -> None:
    assert said in refused(docs, where)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("id = 5", "5 does not fit: id holds texts; write it as a text, '5', or compare `try_cast(id as double)`"),
        ("share > 'x'", "'x' is no number; share holds numbers"),
        ("n like '%x%' or text = 'n'", "LIKE cannot compare number and text; text holds texts, n holds numbers"),
        ("lower(text) = 'a' and lower(n) = 'x'", "n holds numbers"),
        ("n", "this is a value; compare it"),
        ("count(n) > 1", "about one document"),
        ("n in (select 1)", "cannot evaluate"),
        ("cast(n as date time) = 1", "stands where"),
        ("cast(n as foo) = 1", "no such type"),
    ],
)
def test_what_does_not_fit_a_column_is_told_what_the_column_holds(docs: Collection, where: str, said: str) -> None:
    assert said in refused(docs, where)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("lenght(text) > 3", "no function `lenght`; nearest: `length`"),
        ("zzz(text) > 3", "no function `zzz`; there are abs, array_contains"),
    ],
)
def test_an_unknown_function_is_named_with_the_nearest(docs: Collection, where: str, said: str) -> None:
    assert said in refused(docs, where)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("n = ", "the end stands where an expression was expected"),
        ("(n = ) and n > 1", "`)` stands where an expression"),
        ("n = = 1", "`=` stands where an expression was expected"),
        ("n < 1 nd n > 0", "`nd` stands where the condition should end, or go on with `and` or `or`"),
        ("text is red", "`red` stands where `null` or `not null` was expected"),
        ("regexp_like(text, '(')", "unclosed group"),
    ],
)
def test_a_mark_in_the_wrong_place_is_named(docs: Collection, where: str, said: str) -> None:
    assert said in refused(docs, where)


@pytest.mark.parametrize("where", ["\"text\" = 'bread'", 'n > 1 and "colour" is not null', "\"Colour\" not in ('a')"])
def test_a_column_in_double_quotes_is_a_text_and_refused_where_it_is_compared(docs: Collection, where: str) -> None:
    assert "the column is written" in refused(docs, where)


@pytest.mark.parametrize("where", ["n = ?", "n = $1", "id = :name", "n = 1 or n = :2"])
def test_values_to_be_given_elsewhere_are_refused_in_silence(
    docs: Collection, where: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "stands for a value given elsewhere" in refused(docs, where)
    assert capfd.readouterr().err == ""


def test_the_marks_of_such_values_may_stand_in_texts_and_between_types(docs: Collection) -> None:
    assert found(docs, "text like '%?%' or text = ':a' or text = '$1' or n::int = 2") == {2}


def test_double_quotes_make_texts_also_of_names_of_columns(docs: Collection) -> None:
    assert found(docs, 'colour = "red" and n < 32') == {30, 31}
    assert found(docs, 'colour = "n" or colour in ("text", "red") and n = 31') == {31}


def test_what_is_wrong_with_a_condition_is_one_line_in_no_words_of_the_library(docs: Collection) -> None:
    for where in ("nope = 1", "id = 5", "n = ", "zzz(n) = 1", "n like 'a'", "array_contains(n, 1)", "abs(text) = 1"):
        said = refused(docs, where)
        assert "\n" not in said
        assert not re.search(r"error|Utf8|Int64|Float64|lance|Schema|Invalid", said), said


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
