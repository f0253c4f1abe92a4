"""What the documentation generates: nothing that exists is missing, and nothing is typed by hand."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from cenote import registry
from cenote.claims.papers import papers
from cenote.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_word_has_a_row_with_every_argument(hooks: ModuleType) -> None:
    lines = hooks.words().splitlines()
    for row in registry.rows():
        ours = [line for line in lines if line.startswith(f"| `{row.word}` |") and row.about.split("|")[0] in line]
        assert ours, row.word
        told = registry.recipe_parameters(row) if row.built and row.kind in registry.STAGE_KINDS else ()
        for name in (one.name for one in told if one.name != "empty"):
            assert any(f"`{name}" in line for line in ours), (row.word, name)


def test_every_command_and_every_paper_has_a_row(hooks: ModuleType) -> None:
    said, listed = hooks.commands(), hooks.paper_table()
    assert [name for name in COMMANDS if f"## cenote {name}\n" not in said] == []
    assert [one.title for one in papers() if one.title not in listed] == []


def test_every_pooler_is_in_the_gallery_with_what_it_computes_its_picture_and_when_to_use_it(hooks: ModuleType) -> None:
    shown = [row for kind in hooks.GALLERY for row in registry.rows(kind) if row.built and row.gives != "multi"]
    sections = {part.split("#", 1)[1].split(" ")[0]: part for part in hooks.gallery().split("\n### ")[1:]}
    for row in shown:
        said = sections[f"{row.kind}-{row.word}"]
        assert "```text\n" in said or row.kind == "adapter", f"the module of {row.word} opens with no equation"
        assert "**When.** " in said, f"say in docs/gallery.toml when to use {row.word}"
        assert f"images/gallery/{row.kind}-{row.word}." in said or row.word == "dynamic-kmax", (
            "draw_gallery.py draws it"
        )


def test_every_picture_of_the_gallery_is_of_a_pooler_and_all_are_small() -> None:
    pictures = list((ROOT / "docs" / "images" / "gallery").iterdir())
    known = {f"{row.kind}-{row.word}" for row in registry.rows()}
    assert {one.stem for one in pictures} <= known
    assert sum(one.stat().st_size for one in pictures) < 1_500_000


def test_a_row_has_as_many_cells_as_its_table(hooks: ModuleType) -> None:
    for text in (hooks.words(), hooks.commands(), hooks.paper_table(), hooks.gallery()):
        for table in text.split("\n\n"):
            rows = [line for line in table.splitlines() if line.startswith("|")]
            assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1, table


def test_every_package_has_a_page_that_documents_its_modules(hooks: ModuleType) -> None:
    for name in ("pool", "measure", "registry"):
        assert name in hooks.packages()
    assert not [name for name in hooks.packages() if name.startswith("_")]
    page = hooks.reference("pool")
    assert all(f"::: cenote.pool.{place.stem}\n" in page for place in (ROOT / "src/cenote/pool").glob("[a-z]*.py"))


def test_pictures_that_the_page_of_the_benchmarks_shows_are_added(hooks: ModuleType) -> None:
    shown = re.findall(r"!\[.*\]\((.+)\)", (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8"))
    assert shown
    assert set(shown) <= {f"results/{place.name}" for place in hooks.pictures()}


def test_rows_of_the_registry_shown_in_the_pages_are_rows() -> None:
    from test_snippets import ALL

    shown = [tomllib.loads(block.text) for block in ALL if block.language == "toml"]
    for kinds in shown:
        for words in kinds.values():
            for row in words.values():
                assert row.keys() <= {"make", "takes", "gives", "about", "paper", "trained", "side"}
