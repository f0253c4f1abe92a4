"""Every snippet of the README and the documentation runs.

A fenced block of python is executed, the blocks of a page one after the other in one namespace; a block of console, or
of no language, that begins with `cenote` is run line by line, and every line must end with exit code 0. With `$` in
front of its commands a block also holds what they said, which is not compared: times differ. What cannot run here says
why in a comment above it: `<!-- not run: … -->`.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from library import build

from cenote.cli.main import main
from cenote.recipe import expand

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"", "console", "csv", "json", "python", "recipe", "text", "toml"}
_FENCE = re.compile(r"^```(\S*).*\n((?:.*\n)*?)^```$", re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run: .+ -->\n+\Z")
GIVEN = {
    "README.md": {
        "vectors": np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32),
        "queries": np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32),
    }
}
"""What the reader of a page has at hand."""


@dataclass(frozen=True)
class Block:
    """A fenced block, and the line that it begins on."""

    page: Path
    line: int
    language: str
    text: str
    runs: bool

    @property
    def commands(self) -> list[str]:
        """The lines of a shell, continued lines joined; none where the block is something else."""
        lines = [line for line in re.sub(r"\\\n\s*", "", self.text).splitlines() if line.strip()]
        if self.language not in ("", "console") or not lines:
            return []
        if lines[0].startswith("$ "):
            return [line[2:] for line in lines if line.startswith("$ ")]
        return lines if lines[0].startswith("cenote ") else []


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        before = text[: found.start()]
        yield Block(page, before.count("\n") + 2, found[1], found[2], _NOT_RUN.search(before) is None)


ALL = [block for page in PAGES for block in blocks(page)]
RUN = [page for page in PAGES if any(b.page == page and b.runs and (b.language == "python" or b.commands) for b in ALL)]


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    build(folder, docstrings=320, pdfs=12, most_pages=5, questions=12, markdown=200)
    return folder


@pytest.fixture
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On so few texts threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("page", RUN, ids=_name)
def test_every_snippet_of_a_page_runs(
    page: Path,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(library, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": page.stem, **GIVEN.get(_name(page), {})}
    for block in blocks(page):
        if not block.runs:
            continue
        if block.language == "python":
            # the empty lines put the page's own line numbers into a traceback
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)
        for command in block.commands:
            capsys.readouterr()
            program, *arguments = shlex.split(command, comments=True)
            assert program == "cenote", f"{_name(page)}, line {block.line}: `{command}` is no command of cenote"
            code = main(arguments)
            assert code == 0, (
                f"{_name(page)}, line {block.line}: `{command}` ends with {code}: {capsys.readouterr().err}"
            )


def test_every_recipe_shown_can_be_read() -> None:
    shown = [line for block in ALL if block.language == "recipe" for line in block.text.splitlines() if line.strip()]
    assert shown
    for recipe in shown:
        assert expand(recipe)


def test_blocks_are_of_a_language_that_is_known_here() -> None:
    unknown = [(_name(b.page), b.line, b.language) for b in ALL if b.language not in LANGUAGES]
    assert not unknown


def test_few_blocks_are_exempt() -> None:
    assert sum(not block.runs for block in ALL) <= 8
