import datetime

import pytest
from things import AWKWARD, METADATA, RECIPE

from cenote.integrations.metadata import document, metadata
from cenote.integrations.store import Store


def stored(tmp_path, *given):
    store = Store(tmp_path / "docs.cenote", RECIPE)
    store.add([document(str(n), f"text {n}", one) for n, one in enumerate(given)])
    return [metadata(one) for one in Store(tmp_path / "docs.cenote").get([str(n) for n in range(len(given))])]


def test_metadata_comes_back_as_it_was_given(tmp_path):
    given = [*METADATA.values(), AWKWARD, {}]
    assert stored(tmp_path, *given) == given


def test_dates_come_back_as_their_text(tmp_path):
    found = stored(
        tmp_path, {"on": datetime.date(2001, 2, 3), "nested": {"x": 1}, "at.time": datetime.date(2001, 2, 3)}
    )
    assert found == [{"on": "2001-02-03", "nested": {"x": 1}, "at.time": "2001-02-03"}]


def test_two_names_of_one_column_both_come_back(tmp_path):
    given = {"Year": 1, "year": 2, "a.b": 3, "a_b": 4}
    assert stored(tmp_path, given) == [given]


def test_what_is_no_json_is_named():
    with pytest.raises(ValueError, match="metadata 'made' of document 'a' is object"):
        document("a", "text", {"made": object()})
    with pytest.raises(TypeError, match="document 'a' must have a text"):
        document("a", None, {})  # type: ignore[arg-type]
