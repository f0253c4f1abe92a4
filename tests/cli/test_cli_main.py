"""The entry: exit codes, streams, options that stand anywhere, completion, and what is imported."""

import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import COMMAND, RECIPE, Cenote
from typer.testing import CliRunner

import cenote as package
from cenote import registry
from cenote.cli.arguments import complete_recipe
from cenote.cli.main import COMMANDS, application
from cenote.cli.terminal import Failed, result_json
from cenote.errors import CenoteError, CorruptIndex, Locked, RecipeError, UnknownWord

HEAVY = ("torch", "lance", "numba", "numpy", "pyarrow", "transformers", "sentence_transformers", "matplotlib", "pandas")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let `cenote papers` raise an error."""

    def fail(error: BaseException) -> None:
        def raising() -> None:
            raise error

        # by the module itself: the package hands on a function of the same name
        monkeypatch.setattr(importlib.import_module("cenote.claims.papers"), "papers", raising)

    return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failed("two inputs had to be skipped"), 1),
        (CenoteError("it did not work"), 1),
        (Locked("another process is writing"), 1),
        (CorruptIndex("seg/x/codes", "truncated", "3"), 1),
        (OSError(28, "No space left on device", "/disk/file"), 1),
        (OSError("LanceError(IO): No space left on device, /home/x/src/file.rs:190:9"), 1),
        (RuntimeError("out of luck"), 1),
        (MemoryError("too much"), 1),
        (ValueError("k must be at least 1, not 0"), 2),
        (TypeError("ids must be a list of strings"), 2),
        (UnknownWord("no word `float7`; nearest: `float8`"), 2),
        (RecipeError("no word `x`", "minilm | x", 9, 10), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_sentence_and_its_exit_code(
    cenote: Cenote, failing: Callable[[BaseException], None], error: BaseException, code: int
) -> None:
    failing(error)
    ran = cenote("papers")
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.startswith("cenote: ")
    assert "Traceback" not in ran.err
    assert ".rs:" not in ran.err
    assert ran.err.count("\n") == (3 if isinstance(error, RecipeError) else 1)


def test_a_recipe_error_shows_the_place(cenote: Cenote, failing: Callable[[BaseException], None]) -> None:
    failing(RecipeError("no word `x`", "minilm | x", 9, 10))
    assert cenote("papers").err == "cenote: no word `x`\n  minilm | x\n           ^\n"


def test_only_debug_shows_a_traceback(cenote: Cenote, failing: Callable[[BaseException], None]) -> None:
    failing(ValueError("k must be at least 1"))
    for command in (("--debug", "papers"), ("papers", "--debug")):
        ran = cenote(*command)
        assert ran.code == 2
        assert "Traceback" in ran.err
        assert ran.err.endswith("cenote: k must be at least 1\n")
    assert "Traceback" not in cenote("papers").err, "the option is of one command line only"


@pytest.mark.parametrize(
    "arguments", [["nope"], ["papers", "--nope"], ["get"], ["search", "x"], ["index", "docs"], ["--nope"]]
)
def test_bad_usage_is_2_and_says_where_help_is(cenote: Cenote, arguments: list[str]) -> None:
    ran = cenote(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("cenote: ")
    assert "--help" in ran.err


def test_without_a_command_help_is_shown_and_nothing_else_is_said(cenote: Cenote) -> None:
    ran = cenote()
    assert ran.code == 2
    assert "Usage: cenote" in ran.out
    assert ran.err == ""


def test_version_is_the_packages(cenote: Cenote) -> None:
    ran = cenote("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"cenote {package.__version__}\n", "")


def test_the_package_runs_as_a_module() -> None:
    ran = subprocess.run([sys.executable, "-m", "cenote", "search", "--nope"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--nope" in ran.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cenote: Cenote, command: str) -> None:
    ran = cenote(command, "--help")
    assert ran.code == 0
    assert f"cenote {command}" in ran.out


def test_a_command_says_the_same_of_itself_as_among_all() -> None:
    whole = CliRunner().invoke(application(), ["search", "--help"])
    alone = CliRunner().invoke(application(["search"]), ["search", "--help"])
    assert alone.exit_code == 0
    assert "A collection." in alone.stdout
    assert alone.stdout == whole.stdout


def test_help_lists_every_command(cenote: Cenote) -> None:
    listed = cenote("--help").out
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", listed)] == []


def test_quiet_leaves_results_and_errors(cenote: Cenote) -> None:
    assert "119 papers" in cenote("papers").err
    for command in (("-q", "papers"), ("papers", "--quiet")):
        ran = cenote(*command)
        assert ran.err == ""
        assert len(ran.out.splitlines()) == 120
    assert "119 papers" in cenote("papers").err
    assert cenote("-q", "nope").err != ""


def test_short_options_may_be_joined(cenote: Cenote) -> None:
    assert cenote("-qv", "papers").err == ""


def test_behind_two_dashes_nothing_is_an_option(cenote: Cenote, shelf: Path) -> None:
    ran = cenote("get", shelf, "--", "-v", "--debug")
    assert ran.code == 1
    assert "'-v', '--debug'" in ran.err
    assert "Traceback" not in ran.err


def test_papers_are_119_rows(cenote: Cenote) -> None:
    rows = cenote("papers", "--json").json
    assert [row["number"] for row in rows] == list(range(1, 120))


def test_numbers_that_json_does_not_know_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    result_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": "naïve"})
    assert capsys.readouterr().out == '{"a": null, "b": [null, 1.5], "c": "naïve"}\n'


# -- what is imported


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["papers"], ["index", "--help"], ["nope"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from cenote.cli.main import main; main(sys.argv[1:]); "
        f"print(*(m for m in {HEAVY} if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == ""


def test_completion_imports_nothing_heavy(tmp_path: Path) -> None:
    for name in HEAVY:
        (tmp_path / f"{name}.py").write_text(f"raise AssertionError('{name} was imported')")
    done = completed("cenote index docs --recipe 'wordllama | fl", PYTHONPATH=str(tmp_path))
    assert done == ["wordllama | float32", "wordllama | float16", "wordllama | float8", "wordllama | flat"]


# -- completion


def completed(line: str, **environment: str) -> list[str]:
    """What bash would offer at the end of a line: it hands over the words, joined, and which is being written."""
    words = re.findall(r"""'[^']*'?|"[^"]*"?|\S+""", line) + [""] * line.endswith(" ")
    given = {
        "_CENOTE_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    code = "import sys; sys.argv[0] = 'cenote'; from cenote.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | given | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_commands_and_recipe_words_are_completed_for_a_shell() -> None:
    assert set(completed("cenote re")) == {"reindex", "reproduce"}
    assert completed("cenote compare docs --with 'passages 256 | minil") == ["passages 256 | minilm"]


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("mini", ["minilm"]),
        ("passages 256 | mini", ["passages 256 | minilm"]),
        ("passages 256 |mini", ["passages 256 |minilm"]),
        ("minilm | {normalize, trunc", ["minilm | {normalize, truncate"]),
        ("minilm | {normalize,trunc", ["minilm | {normalize,truncate"]),
        ("(minilm | fla", ["(minilm | flat"]),
        ("minilm | zzz", []),
    ],
)
def test_the_word_being_written_is_completed(written: str, offered: list[str]) -> None:
    assert complete_recipe(written) == offered


def test_only_words_that_are_built_are_offered() -> None:
    offered = {text.removeprefix("minilm | ") for text in complete_recipe("minilm | ")}
    built = {row.word for kind in registry.STAGE_KINDS for row in registry.rows(kind) if row.built}
    assert offered == built


# -- the process


@pytest.mark.parametrize("arguments", [["papers", "--json"], ["get", "{shelf}", "x"]])
def test_exit_codes_and_streams_of_a_real_process_are_those_of_this_one(
    cenote: Cenote, process: Cenote, shelf: Path, arguments: list[str]
) -> None:
    given = [argument.format(shelf=shelf) for argument in arguments]
    assert process(*given) == cenote(*given)


def test_json_is_utf_8_whatever_the_machine_itself_speaks(process: Cenote, shelf: Path) -> None:
    ran = process("search", shelf, "gzip, né", "-v", "--json", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (ran.code, ran.json["query"], ran.json["hits"][0]["id"]) == (0, "gzip, né", "gzip.txt")


def test_an_interrupt_ends_with_130_and_leaves_what_can_be_gone_on_with(process: Cenote, tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({"_id": f"m{i}", "text": f"text number {i} " * 8}) + "\n" for i in range(5_000)))
    arguments = ["index", str(many), "--out", str(tmp_path / "x"), "--recipe", RECIPE]
    environment = os.environ | {"CENOTE_CACHE": "off"}
    with subprocess.Popen([*COMMAND, *arguments], env=environment, stderr=subprocess.PIPE, text=True) as running:
        while not (tmp_path / "x" / "CURRENT").exists():  # the documents are stored, and are being encoded
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == "cenote: interrupted; run the same command again to go on\n"
    ran = process(*arguments, "-v", "--json")
    assert (ran.code, ran.json["documents"]) == (0, 5_000)
    assert "went on where the interrupted build stopped" in ran.err


def piped(*arguments: object, lines: int) -> tuple[int, str]:
    """Run a command whose reader closes the pipe after some lines; return its exit code and stderr."""
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for _ in range(lines):
            assert running.stdout.readline()
        running.stdout.close()
        said = running.stderr.read()
    return running.returncode, said


def test_a_reader_that_has_seen_enough_is_no_error(shelf: Path) -> None:
    assert piped("search", shelf, *["gzip and email"] * 1000, "--json", lines=1) == (0, "")


def test_commits_that_nobody_reads_are_no_success(shelf: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({"_id": f"m{i}", "text": f"text {i}"}) + "\n" for i in range(2000)))
    code, said = piped("add", shelf, many, "--commit-every", 50, "--json", lines=1)
    assert code == 1
    assert "run it again to add what is left" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_results_that_cannot_be_written_are_a_failure() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "papers"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "cenote: No space left on device" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="files cannot be kept small here")
def test_a_disk_that_is_full_leaves_the_collection_as_it_was(cenote: Cenote, shelf: Path, tmp_path: Path) -> None:
    before = cenote("info", shelf, "--json").json
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({"_id": f"m{i}", "text": f"{i * 7919:x} " * 30}) + "\n" for i in range(20_000)))
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 400; exec "$@"', "sh", *COMMAND, "add", str(shelf), str(many)],
        capture_output=True,
        text=True,
        env=os.environ | {"CENOTE_CACHE": "off"},
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("cenote: ")
    assert "Traceback" not in done.stderr
    assert cenote("info", shelf, "--json", "--verify").json == before


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_bars_and_no_color_keeps_them_plain(
    cenote: Cenote, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wordllama")
    monkeypatch.setenv("TERM", "xterm-256color")

    def shown(name: str, *options: str) -> str:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        assert cenote("index", folder, "--out", tmp_path / name, "--recipe", RECIPE, *options).code == 0
        return terminal.getvalue()

    colour = re.compile(r"\x1b\[[\d;]*3\d[;m]")
    with_colour = shown("x")
    monkeypatch.setenv("NO_COLOR", "1")
    without, quiet = shown("y"), shown("z", "-q")
    assert "encoding" in with_colour
    assert colour.search(with_colour)
    assert "encoding" in without
    assert not colour.search(without)
    assert quiet == ""


def test_without_a_terminal_progress_is_said_only_with_v(cenote: Cenote, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    assert cenote("index", folder, "--out", tmp_path / "x", "--recipe", RECIPE).err == ""
    said = cenote("index", folder, "--out", tmp_path / "y", "--recipe", RECIPE, "-v").err
    assert "encoding 4 of 4" in said
    assert "\x1b" not in said
