"""Every comparison against the same one made by Python over the same documents."""

import pytest
from things import METADATA, RECIPE, TEXTS, among

from cenote.integrations.conditions import Conditions, every, negated, some
from cenote.integrations.metadata import document
from cenote.integrations.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("docs") / "docs.cenote", RECIPE)
    made.add([document(id, TEXTS[id], METADATA[id]) for id in ("dates", "gzip")])
    made.add([document(id, TEXTS[id], METADATA[id]) for id in ("mail", "csv", "zones")])  # another table, other columns
    return made


COMPARISONS = {
    "a number": (lambda c: c.equal("year", 1995), lambda m: m.get("year") == 1995),
    "a whole float": (lambda c: c.equal("year", 1995.0), lambda m: m.get("year") == 1995.0),
    "a broken float": (lambda c: c.equal("year", 1995.5), lambda m: m.get("year") == 1995.5),
    "a number beyond 64 bits": (lambda c: c.ordered("year", "<", 2**70), lambda m: "year" in m),
    "a text with a quote": (lambda c: c.equal("kind", "it's"), lambda m: m.get("kind") == "it's"),
    "a text where numbers are": (lambda c: c.equal("year", "1995"), lambda m: False),
    "a truth value": (lambda c: c.equal("open", True), lambda m: m.get("open") is True),
    "a truth value where numbers are": (lambda c: c.equal("year", True), lambda m: False),
    "a list": (lambda c: c.equal("tags", ["data"]), lambda m: m.get("tags") == ["data"]),
    "a column nobody has": (lambda c: c.equal("nowhere", 1), lambda m: False),
    "nothing": (lambda c: c.equal("year", None), lambda m: m.get("year") is None),
    "nothing in a column nobody has": (lambda c: c.equal("nowhere", None), lambda m: True),
    "below": (lambda c: c.ordered("year", "<", 1995.5), lambda m: m.get("year", 9999) < 1995.5),
    "at least": (lambda c: c.ordered("year", ">=", 1995), lambda m: m.get("year", 0) >= 1995),
    "below a text": (lambda c: c.ordered("kind", "<", "e"), lambda m: m.get("kind", "z") < "e"),
    "above nothing": (lambda c: c.ordered("year", ">", None), lambda m: False),
    "floats": (lambda c: c.ordered("size", ">", 1), lambda m: m.get("size", 0) > 1),
    "one of": (lambda c: c.among("year", [1990, 2005, "x"]), lambda m: m.get("year") in (1990, 2005)),
    "one of floats": (lambda c: c.among("year", [1990.0, 7.5]), lambda m: m.get("year") == 1990),
    "one of or nothing": (lambda c: c.among("kind", ["data", None]), lambda m: m.get("kind") in ("data", None)),
    "one of none": (lambda c: c.among("year", []), lambda m: False),
    "a value in a list": (lambda c: c.holds("tags", "time"), lambda m: "time" in m.get("tags", [])),
    "a value of another type in a list": (lambda c: c.holds("tags", 1), lambda m: False),
    "inside a text": (lambda c: c.within("kind", "ex"), lambda m: "ex" in m.get("kind", "")),
    "inside a text in any case": (lambda c: c.within("kind", "EX", any_case=True), lambda m: "ex" in m.get("kind", "")),
    "all": (lambda c: every([c.equal("kind", "text"), c.equal("open", True)]), lambda m: m.get("open") is True),
    "all of none": (lambda c: every([]), lambda m: True),
    "some": (lambda c: some([c.equal("year", 1990), c.equal("open", True)]), lambda m: m.get("year") in (1990, 2000)),
    "some of none": (lambda c: some([]), lambda m: False),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_condition_holds_where_python_says_so(store, name):
    written, wanted = COMPARISONS[name]
    condition = written(store.conditions())
    assert sorted(one.id for one in store.matching(condition)) == among(wanted)


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_negated_condition_holds_where_python_says_no(store, name):
    written, wanted = COMPARISONS[name]
    condition = negated(written(store.conditions()))
    assert sorted(one.id for one in store.matching(condition)) == among(lambda m: not wanted(m))


def test_names_are_found_in_any_case_and_ids_are_columns(store):
    assert [one.id for one in store.matching(store.conditions().equal("YEAR", 1995))] == ["gzip"]
    assert [one.id for one in store.matching(store.conditions().equal("id", "mail"))] == ["mail"]


@pytest.mark.parametrize("value", ["1995", True, [1995]])
def test_what_cannot_be_ordered_is_refused(store, value):
    with pytest.raises(TypeError, match="year"):
        store.conditions().ordered("year", ">", value)


def test_a_column_that_cannot_be_quoted_is_refused():
    with pytest.raises(ValueError, match="rename"):
        Conditions({"a`b": "int64"}).equal("a`b", 1)


@pytest.mark.parametrize("text", ["it's", "'", "''; DROP", "a\\'b", "%", "`year`", "-- x", "ünï"])
def test_a_text_is_nothing_but_a_text(store, text):
    assert store.matching(store.conditions().equal("kind", text)) == [
        one for one in store.matching() if one.attributes.get("kind") == text
    ]
