"""Typed recipes and grids."""

import pytest

from cenote.errors import RecipeError
from cenote.recipe import Chain, Recipe, expand, left_out, parse


def test_a_grid_expands_left_to_right() -> None:
    texts = [str(r) for r in expand("minilm | {mean, max} | {pca 64, pca 192} | {float8, int8, binary}")]
    assert len(texts) == 12
    assert texts[0] == "minilm | mean | pca 64 | float8"
    assert texts[1] == "minilm | mean | pca 64 | int8"
    assert texts[-1] == "minilm | max | pca 192 | binary"


def test_a_choice_may_hold_whole_chains_and_none() -> None:
    texts = [str(r) for r in expand("minilm | {none, pca 64 | rotate} | flat")]
    assert texts == ["minilm | flat", "minilm | pca 64 | rotate | flat"]


def test_the_chunker_may_be_a_choice() -> None:
    assert [str(r) for r in expand("{passages 64, passages 128, none} | minilm")] == [
        "passages 64 | minilm",
        "passages 128 | minilm",
        "minilm",
    ]


def test_one_recipe_written_twice_comes_once() -> None:
    assert len(expand("minilm | {flat, flat}")) == 1


def test_every_printed_recipe_reads_back_as_itself() -> None:
    for recipe in expand(
        "{none, passages 128} | {minilm dtype=fp32, wordllama} | {int8 dim, binary} | flat | rerank int8 20"
    ):
        assert parse(str(recipe)) == recipe


def test_every_pooler_of_the_registry_joins_the_wildcard() -> None:
    words = {r.legs[0][1].word for r in expand("minilm | {pool.*}")}
    assert {"mean", "max", "cls"} <= words
    assert "tokens" not in words
    assert "tokens" in left_out("minilm | {pool.*}")["which this version has not"]


def test_a_grid_of_many_is_refused_where_one_recipe_is_wanted() -> None:
    with pytest.raises(RecipeError, match="grid of 2"):
        parse("minilm | {mean, max}")


def test_a_grid_beyond_reason_is_refused_without_being_built() -> None:
    with pytest.raises(RecipeError, match="more than 10,000"):
        expand("minilm" + " | {rotate, normalize}" * 40)


def test_hybrids_parse_and_print() -> None:
    recipe = parse("passages 256 | (bm25) + (minilm | flat) | convex 0.3")
    assert recipe.fuse is not None
    assert [len(leg) for leg in recipe.legs] == [1, 2]
    assert str(recipe) == "passages 256 | (bm25) + (minilm | flat) | convex 0.3"
    assert parse(str(recipe)) == recipe


def test_hybrids_hold_choices_too() -> None:
    assert len(expand("(bm25) + (minilm | {int8, binary} | flat) | {rrf, convex 0.5}")) == 4


def test_the_payload_as_written_is_known() -> None:
    assert parse("minilm").gives == "states"
    assert parse("minilm | mean").gives == "dense"
    assert parse("minilm | int8").gives == "codes"
    assert parse("minilm | int8 | flat").gives == "index"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("minilm | float7 | flat", "float7", "nearest: `float8`"),
        ("minil | flat", "minil", "nearest: `minilm`"),
        ("pca 64 | minilm", "pca 64", "begins with an encoder"),
        ("minilm | passages 256", "passages 256", "comes first"),
        ("passages 256", "", "encoder"),
        ("minilm | wordllama", "wordllama", "second encoder"),
        ("minilm | mean | max", "max", "second pooler"),
        ("minilm | int8 | binary", "binary", "second codec"),
        ("minilm | int8 | pca 64", "pca 64", "takes dense"),
        ("minilm | flat | int8", "int8", "takes dense"),
        ("minilm | flat | flat", "flat", "second engine"),
        ("minilm | pca", "pca", "needs a value for dim"),
        ("minilm | pca many", "pca many", "whole number"),
        ("minilm | pca 0", "pca 0", "dim"),
        ("minilm | pca 64 3 4 5 6", "pca 64 3 4 5 6", "takes at most"),
        ("minilm | pca size=3", "pca size=3", "no argument `size`"),
        ("minilm | pca 3 dim=3", "pca 3 dim=3", "twice"),
        ("minilm | float8 e9", "float8 e9", "must be one of"),
        ("minilm | mean@runs/x", "mean@runs/x", "no weights to load"),
        ("minilm | rerank int8 | flat", "flat", "takes"),
        ("minilm | rrf", "rrf", "joins legs"),
        ("(minilm) | rrf", "(minilm)", "nothing to be fused with"),
        ("(bm25) + (minilm)", "(bm25) + (minilm)", "end in a fusion"),
        ("(bm25) + (minilm) | flat", "flat", "a fusion"),
        ("(bm25) + (minilm) | rrf | flat", "flat", "nothing can follow"),
        ("(bm25) + (minilm) + (wordllama) | convex 0.5", "convex 0.5", "two legs"),
        ("bm25 | pca 64", "pca 64", "sparse"),
        ("some/model | flat", "some/model", "in quotes"),
        ("minilm | {nothing.*}", "nothing.*", "no words of kind"),
    ],
)
def test_an_error_points_at_the_place_and_says_what_fits(text: str, place: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason.replace("(", r"\(")) as caught:
        Chain(parse(text))
    shown = caught.value.text[caught.value.start : caught.value.end]
    assert shown.startswith(place)


def test_a_recipe_passes_through() -> None:
    recipe = parse("minilm | flat")
    assert parse(recipe) is recipe
    assert expand(recipe) == [recipe]
    assert isinstance(recipe, Recipe)
