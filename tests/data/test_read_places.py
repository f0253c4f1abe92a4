"""The memory of ids: exact however many there are, and in whichever order they come."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cenote.data import places
from cenote.data.places import Places


@pytest.fixture(autouse=True)
def _small_runs() -> Iterator[None]:
    """Settle often, so that a few ids take the path of millions."""
    before, places._RECENT = places._RECENT, 3
    yield
    places._RECENT = before


@given(st.lists(st.text(max_size=3), max_size=60))
def test_the_first_repetition_is_found_and_no_other(ids: list[str]) -> None:
    memory, seen = Places(), dict[str, int]()
    number = memory.file("a.jsonl")
    for row, id in enumerate(ids):
        if id in seen:
            with pytest.raises(ValueError, match=f"a.jsonl, row {seen[id]} and a.jsonl, row {row};"):
                memory.see(id, number, row)
            return
        memory.see(id, number, row)
        seen[id] = row


@given(st.integers(0, 200), st.integers(1, 200))
def test_an_id_is_found_again_however_long_ago_it_was_seen(first: int, later: int) -> None:
    memory = Places()
    one, two = memory.file("one"), memory.file("two")
    for row in range(first + later):
        memory.see(f"{row}", one, row)
    with pytest.raises(ValueError, match=f"one, row {first} and two;"):
        memory.see(f"{first}", two, None)


def test_a_file_is_shown_without_a_row() -> None:
    memory = Places()
    memory.see("x", memory.file("a.txt"), None)
    with pytest.raises(ValueError, match=r"'x' comes twice: a\.txt and b\.jsonl, row 0;"):
        memory.see("x", memory.file("b.jsonl"), 0)


def test_half_of_a_surrogate_pair_can_be_remembered() -> None:
    memory = Places()
    memory.see("\udcff", memory.file("a"), None)
    with pytest.raises(ValueError, match="comes twice"):
        memory.see("\udcff", memory.file("b"), None)
