"""Cold start: one question to a small collection, each time in a new process.

The first row imports torch and does nothing: no program that encodes with it can be faster. The collection holds 300
docstrings of Python's own library; the file cache is warm, nothing else is. Every process may keep what it compiles of
Python, as an installed package has it, whatever the environment of the bench says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.encoding import texts
from benchmarks.harness import Contest, Turn

DOCUMENTS = 300
QUESTION = "open a file for reading"
_COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def start(code: str) -> Turn:
    return partial(_started, [sys.executable, "-c", code])


def search() -> Turn:
    import cenote

    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "shelf"
    rows = [{"_id": str(i), "text": text} for i, text in enumerate(texts()[0][:DOCUMENTS])]
    cenote.create(path, rows).close()
    line = [sys.executable, "-c", "from cenote.cli.main import run; run()", "search", str(path), QUESTION]

    def turn() -> Mapping[str, float]:
        assert folder  # which is removed once nothing holds it
        return _started(line)

    return turn


def _started(line: list[str]) -> Mapping[str, float]:
    began = time.perf_counter()
    subprocess.run(line, env=_COMPILED, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {"_seconds": time.perf_counter() - began}


def contests() -> list[Contest]:
    return [
        Contest(
            title="From the command line to the answer",
            unit="processes",
            work=1,
            contestants={
                "import torch": (start, "import torch"),
                "cenote search": (search,),
                "import sentence_transformers": (start, "import sentence_transformers"),
            },
            repeats=9,
        )
    ]
