"""Errors pass between processes with all that they tell."""

import pickle

import pytest

from cenote.collection.collection import MissingDocuments
from cenote.errors import CorruptIndex, RecipeError, Unreadable


@pytest.mark.parametrize(
    "error",
    [
        RecipeError("no such word", "minilm | flt", 9, 12),
        CorruptIndex("docs/seg", "it is cut short", "MANIFEST-3"),
        Unreadable("no text", "empty"),
        MissingDocuments(["a", "b"]),
    ],
)
def test_an_error_is_the_same_in_another_process(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
