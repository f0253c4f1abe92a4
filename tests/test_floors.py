"""Imports go down only: a package imports lower floors, and none of its own floor."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import cenote

ROOT = Path(cenote.__file__).parent
FLOORS = (
    ("kernels", "arrays", "registry", "errors"),
    ("pool", "reduce", "mix", "tables", "compress"),
    ("data", "encode", "vocab", "context", "graph"),
    ("train", "index"),
    ("recipe",),
    ("collection",),
    ("measure",),
    ("select", "serve", "claims", "integrations"),
    ("cli",),
)
FLOOR = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
ON_ONE_FLOOR = {("tables", "pool"), ("mix", "pool")}
"""What may import what of its own floor."""
FILES = sorted(ROOT.rglob("*.py"))


def package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The packages of cenote that a file imports, inside functions and for types alone too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [node.module or ""]
            if node.module == "cenote":
                names = [f"cenote.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("cenote."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_down(path: Path) -> None:
    own = package(path)
    if own in ("__init__", "__main__"):
        return
    assert own in FLOOR, f"{own} stands on no floor"
    for other in imported(path):
        if other in ("__version__", own):
            continue
        assert other in FLOOR, f"{path} imports {other}, which stands on no floor"
        if FLOOR[own] == FLOOR[other] == 0 or (own, other) in ON_ONE_FLOOR:
            continue
        assert FLOOR[other] < FLOOR[own], f"{own} (floor {FLOOR[own]}) imports {other} (floor {FLOOR[other]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_short_and_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < 400
    assert ast.get_docstring(ast.parse(text)), "a file opens with what it is"


def test_nothing_unpickles() -> None:
    for path in FILES:
        names = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not names & {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}, path
        source = path.read_text(encoding="utf-8")
        assert "torch.load(" not in source
        assert "allow_pickle=True" not in source
