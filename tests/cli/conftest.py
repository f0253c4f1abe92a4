"""Commands as a shell gives them: run in this process, or in one of their own where the process itself matters."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import COMMAND, RECIPE, TEXTS, Cenote, Ran

from cenote.cli.main import main


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the encodings of these tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CENOTE_CACHE", str(tmp_path_factory.mktemp("encodings")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture
def cenote(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cenote:
    """Run a command line in this process."""

    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def process() -> Cenote:
    """Run a command line in a process of its own."""

    def run(*arguments: object, stdin: bytes = b"", **environment: str) -> Ran:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env=os.environ | environment,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four documents, as files."""
    place = tmp_path / "docs"
    for name, text in TEXTS.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


@pytest.fixture
def shelf(folder: Path, tmp_path: Path) -> Path:
    """A collection of these."""
    pytest.importorskip("wordllama")
    from cenote.collection import create

    create(tmp_path / "docs.cenote", str(folder), RECIPE).close()
    return tmp_path / "docs.cenote"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty documents with attributes, a line each."""
    words = ("river", "mountain", "engine", "letter", "garden", "window", "market", "bridge", "forest", "signal")
    place = tmp_path / "rows.jsonl"
    with place.open("w") as file:
        for i in range(40):
            text = f"{words[i % 10]} {words[i // 10]} number {i} and more of the {words[(i * 7 + 3) % 10]}"
            file.write(json.dumps({"_id": f"d{i:02d}", "text": text, "year": 1980 + i}) + "\n")
    return place


@pytest.fixture
def judged(rows: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Questions with judgements: twenty of the documents, asked for by half of their words."""
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    found = [json.loads(line) for line in rows.read_text().splitlines()][::2]
    queries.write_text(
        "".join(json.dumps({"_id": f"q{d['_id']}", "text": " ".join(d["text"].split()[:4])}) + "\n" for d in found)
    )
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{d['_id']}\t{d['_id']}\t1\n" for d in found))
    return queries, qrels
