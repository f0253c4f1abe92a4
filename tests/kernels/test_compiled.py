"""What was compiled before is used again only while no file of the kernels has changed."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from cenote.kernels import compiled

SOURCE = """
from cenote.kernels.compiled import compiled

@compiled
def twice(x):
    return 2 * x
"""


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_KEPT", True)


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hits(path: Path) -> int:
    twice = loaded(path).twice
    assert twice(4) == 8
    return sum(twice.stats.cache_hits.values())


def test_another_process_finds_what_was_compiled(tmp_path: Path) -> None:
    (tmp_path / "doubled.py").write_text(SOURCE)
    assert [hits(tmp_path / "doubled.py") for _ in range(2)] == [0, 1]


def test_a_change_in_any_file_of_the_kernels_has_all_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "doubled.py").write_text(SOURCE)
    assert hits(tmp_path / "doubled.py") == 0
    monkeypatch.setattr(compiled, "sources", lambda: "another state of the files")
    assert [hits(tmp_path / "doubled.py") for _ in range(2)] == [0, 1]


def test_the_state_is_that_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_HERE", tmp_path)
    states = set()
    for name, text in [("scan.py", "1"), ("forms.py", "1"), ("forms.py", "2"), ("scan.py", "2")]:
        (tmp_path / name).write_text(text)
        compiled.sources.cache_clear()
        states.add(compiled.sources())
    compiled.sources.cache_clear()
    assert len(states) == 4
