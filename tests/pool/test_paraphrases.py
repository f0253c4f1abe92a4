"""Mining gives the list one would write by hand."""

import random
import string
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.pool.paraphrases import Paraphrase, common_share, mine_paraphrases

BITEXT = [
    ("Dobranoc.", "Good night."),
    ("dobranoc.", "Sleep well."),
    ("DOBRANOC.", "Good night!"),  # the letters of the first
    ("Dobranoc.", "Have a nice evening."),
    ("Dobranoc.", "Shut the door."),  # far from the pivot
    ("Kot śpi.", "The cat is asleep."),
    ("Kot śpi.", "The cat sleeps."),
    ("Idę.", "I am going."),  # once
    ("Tak.", "Yes."),
    ("Tak.", "Yes."),  # twice, but one translation
    ("Nie wiem.", "I do not know."),
    ("Nie wiem.", "No idea."),
    ("Nie wiem.", "No clue."),
    ("Nie wiem.", "I have no idea."),
    ("Pada.", "It rains."),
    ("Pada.", "Shut the window."),  # far, so that one is left
]
PIVOTS, TRANSLATIONS = ([pair[side] for pair in BITEXT] for side in (0, 1))
FAR = {"Shut the door.", "Shut the window."}


def encode(texts: list[str]) -> NDArray[np.float64]:
    """One direction for all, and another for what is said to be far."""
    return np.array([[0.2, 3.0] if text in FAR else [2.0, 0.1 * len(text) / 20] for text in texts])


def said(found: list[Paraphrase]) -> dict[str, list[set[str]]]:
    out: dict[str, list[set[str]]] = {}
    for pair in found:
        out.setdefault(pair.pivot, []).append({pair.first, pair.second})
    return out


@pytest.mark.parametrize("seed", range(5))
def test_the_pairs_are_those_one_would_write_by_hand(seed: int) -> None:
    found = said(mine_paraphrases(PIVOTS, TRANSLATIONS, encode, seed=seed))
    assert found.keys() == {"Dobranoc.", "Kot śpi.", "Nie wiem."}
    assert found["Kot śpi."] == [{"The cat is asleep.", "The cat sleeps."}]
    # three are left: neighbours, and the odd one with the first
    three = {"Good night.", "Sleep well.", "Have a nice evening."}
    assert len(found["Dobranoc."]) == 2
    assert set.union(*found["Dobranoc."]) == three
    assert len(found["Dobranoc."][0] & found["Dobranoc."][1]) == 1
    # four are two pairs
    assert len(found["Nie wiem."]) == 2
    assert not found["Nie wiem."][0] & found["Nie wiem."][1]


def test_the_seed_decides_who_is_whose_neighbour() -> None:
    def mined(seed: int) -> list[Paraphrase]:
        return mine_paraphrases(PIVOTS, TRANSLATIONS, encode, seed=seed)

    assert mined(3) == mined(3)
    assert len({tuple(mined(seed)) for seed in range(10)}) > 1


def test_a_pair_says_how_alike_it_is() -> None:
    found = mine_paraphrases(PIVOTS, TRANSLATIONS, encode)
    for pair in found:
        a, b = encode([pair.first, pair.second])
        assert pair.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        assert pair.overlap == common_share(pair.first, pair.second)


def test_the_threshold_is_above_and_the_overlap_up_to() -> None:
    def one(_: list[str]) -> NDArray[np.float64]:
        return np.array([[1.0, 0.0]] * len(_))

    texts = ["abcd", "abxy"]  # a half in common
    assert mine_paraphrases(["p", "p"], texts, one, threshold=1.0) == []
    assert len(mine_paraphrases(["p", "p"], texts, one, threshold=0.999)) == 1
    assert len(mine_paraphrases(["p", "p"], texts, one, most_overlap=0.5)) == 1
    assert mine_paraphrases(["p", "p"], texts, one, most_overlap=0.49) == []


def test_how_often_a_pivot_must_stand_is_counted_with_its_repetitions() -> None:
    def mined(least: int) -> set[str]:
        return set(
            said(mine_paraphrases([*PIVOTS, "kot śpi."], [*TRANSLATIONS, "The cat sleeps."], encode, least=least))
        )

    assert mined(3) == {"Dobranoc.", "Kot śpi.", "Nie wiem."}
    assert mined(4) == {"Dobranoc.", "Nie wiem."}


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_the_share_in_common_is_the_longest_common_subsequence(first: str, second: str) -> None:
    @lru_cache(None)
    def longest(i: int, j: int) -> int:
        if not i or not j:
            return 0
        if first[i - 1] == second[j - 1]:
            return longest(i - 1, j - 1) + 1
        return max(longest(i - 1, j), longest(i, j - 1))

    expected = 2 * longest(len(first), len(second)) / (len(first) + len(second)) if first or second else 1.0
    assert common_share(first, second) == pytest.approx(expected)
    assert common_share(second, first) == common_share(first, second)


def test_texts_longer_than_a_word_of_bits_are_compared_too() -> None:
    text = "".join(random.Random(0).choices(string.ascii_letters, k=500))
    assert common_share(text, text) == 1
    assert common_share(text, text[:250]) == pytest.approx(2 * 250 / 750)


def test_nothing_to_mine_gives_nothing() -> None:
    assert mine_paraphrases([], [], encode) == []
    assert mine_paraphrases(["a", "b"], ["c", "d"], encode) == []


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="2 pivots and 1 translations are not aligned"):
        mine_paraphrases(["a", "b"], ["c"], encode)
    for threshold in (-1.1, 1.1):
        with pytest.raises(ValueError, match=r"threshold must lie in \[-1, 1\]"):
            mine_paraphrases(PIVOTS, TRANSLATIONS, encode, threshold=threshold)
    with pytest.raises(ValueError, match=r"encode made an array of shape \(1, 2\) of 4 texts"):
        mine_paraphrases(PIVOTS, TRANSLATIONS, lambda texts: np.ones((1, 2)))
