"""What is imported when: counted, not timed."""

import subprocess
import sys

import pytest

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
