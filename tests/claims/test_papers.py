"""The papers: 119, and where each stands is read from what exists."""

import json
import math
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from cenote import registry
from cenote.claims.papers import find, papers, result, took
from cenote.claims.reproducing import reproduce


def test_there_are_119_of_them() -> None:
    assert [paper.number for paper in papers()] == list(range(1, 120))
    assert len({paper.slug for paper in papers()}) == len({paper.title for paper in papers()}) == 119


def test_they_are_those_of_the_list() -> None:
    listed = Path(os.environ.get("CENOTE_DATA", "")).parent / "papers.json"
    if not listed.is_file():
        pytest.skip("the list of papers is not beside CENOTE_DATA")
    raw = json.loads(listed.read_text())
    wanted = {one["n"]: (one["title"], one["home"]) for one in (raw if isinstance(raw, list) else raw["papers"])}
    assert {paper.number: (paper.title, paper.home) for paper in papers()} == wanted


def test_a_paper_is_built_when_a_word_has_a_class() -> None:
    for paper in papers():
        words = {f"{row.kind} {row.word}" for row in registry.rows() if row.paper == paper.number and row.built}
        assert set(paper.words) == words
        assert (paper.status == "planned") == (not words)


def test_a_paper_is_checked_when_there_is_a_result() -> None:
    for paper in papers():
        found = result(paper.slug)
        assert (paper.status == "checked") == (found is not None and bool(paper.words))
        assert paper.holds == (None if found is None else found["holds"])


@pytest.mark.parametrize("slug", [paper.slug for paper in papers() if result(paper.slug) is not None])
def test_a_result_says_where_it_comes_from(slug: str) -> None:
    found = result(slug)
    assert found is not None
    assert find_spec(f"cenote.claims.{slug.replace('-', '_')}"), "a result without its check"
    assert {"claim", "verdict", "holds", "baseline", "seeds", "figures", "note"} <= found.keys()
    assert {"versions", "cpu", "cpu_seconds"} <= found.keys()
    assert found["cpu"] in took(found)
    assert found["slug"] == slug
    assert found["figures"]
    assert any(figure["low"] is not None for figure in found["figures"]), "no figure has an interval"


@pytest.mark.parametrize("slug", [paper.slug for paper in papers() if result(paper.slug) is not None])
def test_the_figures_of_a_result_are_whole(slug: str) -> None:
    found = result(slug)
    assert found is not None
    assert found["holds"] in (True, False, None)
    assert found["seeds"] >= 1
    assert found["cpu_seconds"] > 0
    assert all(found[name].strip().endswith(".") for name in ("claim", "verdict"))
    names = [(figure["name"], figure["data"]) for figure in found["figures"]]
    assert len(set(names)) == len(names), "two figures have one name"
    for figure in found["figures"]:
        numbers = [figure[name] for name in ("low", "value", "high")]
        assert math.isfinite(figure["value"])
        assert (figure["low"] is None) == (figure["high"] is None)
        if figure["low"] is not None:
            # half a unit of the last digit that is kept
            assert numbers[0] - 5e-3 <= numbers[1] <= numbers[2] + 5e-3


def test_every_row_names_a_paper_that_is_there() -> None:
    numbers = {row.paper for row in registry.rows() if row.paper is not None}
    assert numbers <= {paper.number for paper in papers()}


def test_a_slug_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="the nearest is float8-pca-storage"):
        find("float8-pca-store")


def test_what_has_no_check_says_so(tmp_path: Path) -> None:
    unchecked = next(paper for paper in papers() if not find_spec(f"cenote.claims.{paper.slug.replace('-', '_')}"))
    with pytest.raises(ValueError, match="has no check yet"):
        reproduce(unchecked.slug, data=tmp_path)


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CENOTE_DATA"):
        reproduce("float8-pca-storage", data=tmp_path / "nowhere")
