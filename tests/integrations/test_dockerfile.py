"""The image cannot be built in a test; what it names can be looked up."""

import inspect
import json
import re
import shlex
import tomllib
from pathlib import Path

from cenote.cli.main import COMMANDS
from cenote.cli.serve import serve

ROOT = Path(__file__).parents[2]
LINES = [line for line in (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines() if line.strip()]


def of(word):
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(word + " ")]


def test_what_is_copied_is_there_and_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in of("COPY") for name in shlex.split(line)[:-1]}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_the_extras_and_the_python_are_ours():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [extras] = re.findall(r'"\.\[(.*)\]"', "\n".join(of("RUN")))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    [base] = of("FROM")
    assert base == "python:3.11-slim"
    assert project["requires-python"].startswith(">=3.11")


def test_the_command_is_one_of_ours_with_its_options():
    [[entry]], [command] = map(json.loads, of("ENTRYPOINT")), map(json.loads, of("CMD"))
    assert entry == "cenote"
    assert command[0] in COMMANDS
    options = {word[2:].replace("-", "_") for word in command if word.startswith("--")}
    assert options <= set(inspect.signature(serve).parameters)
    [port] = of("EXPOSE")
    assert int(port) == inspect.signature(serve).parameters["port"].default
