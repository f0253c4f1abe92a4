"""The notation: what it reads, how it prints it back, and where it points when it cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cenote.errors import RecipeError
from cenote.recipe.grammar import Choice, Legs, Stage, read


def test_a_stage_holds_its_word_values_and_keys() -> None:
    assert read('minilm | rerank int8 N=200 note="a b"')[1] == Stage(
        "rerank", ("int8",), (("N", "200"), ("note", "a b"))
    )


def test_a_quoted_word_is_a_path_or_hub_id() -> None:
    assert read('"sentence-transformers/all-mpnet-base-v2" dtype=fp32')[0] == Stage(
        "sentence-transformers/all-mpnet-base-v2", keys=(("dtype", "fp32"),), quoted=True
    )


def test_a_path_of_something_trained_follows_the_at_sign() -> None:
    assert read("minilm | simpool@runs/x")[1] == Stage("simpool", path="runs/x")
    assert read('minilm | simpool@"my runs/x"')[1] == Stage("simpool", path="my runs/x")


def test_none_is_the_empty_chain() -> None:
    (_, choice) = read("minilm | {none, pca 64 | rotate}")
    assert isinstance(choice, Choice)
    assert [len(chain) for chain in choice.chains] == [0, 2]


def test_choices_nest() -> None:
    (_, outer) = read("minilm | {mean | {int8, binary}, max}")
    assert isinstance(outer, Choice)
    assert isinstance(outer.chains[0][1], Choice)


def test_legs_stand_side_by_side() -> None:
    (_, legs, fuse) = read("passages 256 | (bm25) + (minilm | flat) | rrf")
    assert isinstance(legs, Legs)
    assert len(legs.chains) == 2
    assert fuse == Stage("rrf")


@pytest.mark.parametrize(
    ("text", "pointed_at"),
    [
        ("minilm | {mean, max", "{"),
        ("minilm || flat", "|"),
        ("minilm | ", ""),
        ("| minilm", "|"),
        ("minilm }", "}"),
        ("minilm | pca =3", "pca"),
        ("= 3", "="),
        ("minilm | pca dim=", "dim"),
        ("minilm | rerank N=3 int8", "int8"),
        ('minilm | "open', '"open'),
        ("(bm25) + minilm | rrf", "minilm"),
        ("minilm | {(bm25), mean}", "("),
        ("minilm | simpool@ | flat", "simpool@"),
        pytest.param("minilm | " + "{" * 2_000, "{", id="deep"),
    ],
)
def test_an_error_points_at_the_place(text: str, pointed_at: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(text)
    assert text[caught.value.start : caught.value.end].startswith(pointed_at)
    assert "\n" in str(caught.value)
    assert "^" in str(caught.value)


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_recipe_is_an_error_and_never_the_default(text: str) -> None:
    with pytest.raises(RecipeError, match="empty"):
        read(text)


def test_a_recipe_is_a_str() -> None:
    with pytest.raises(TypeError, match="str"):
        read(["minilm"])  # type: ignore[arg-type]


@given(st.text(alphabet='ab |{}(),+="@.1', max_size=40))
def test_any_text_reads_or_is_a_recipe_error(text: str) -> None:
    try:
        steps = read(text)
    except RecipeError:
        return
    assert steps


words = st.text(alphabet="abcxyz0189._-/", min_size=1, max_size=6)
values = st.text(alphabet='abc 019|{},=(+"'.replace('"', ""), min_size=0, max_size=6)


@given(word=words, given_values=st.lists(values, max_size=3), keys=st.dictionaries(words, values, max_size=2))
def test_what_is_printed_reads_back_as_itself(word: str, given_values: list[str], keys: dict[str, str]) -> None:
    stage = Stage(word, tuple(given_values), tuple(keys.items()))
    assert read(str(stage)) == (stage,)
