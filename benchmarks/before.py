"""The library as it was before its packed encoder and its compiled scans, taken from the history of this checkout."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import ROOT

BEFORE = "2db9ab6"
"""The last commit without packed batches, compiled scans and the cache of encodings."""


def take() -> None:
    """Let this process import cenote as it was; ImportError where the history does not reach back to it."""
    tree = Path(tempfile.gettempdir()) / f"cenote-at-{BEFORE}"
    if not tree.exists():
        line = ["git", "-C", str(ROOT), "worktree", "add", "--force", "--detach", str(tree), BEFORE]
        if subprocess.run(line, capture_output=True, check=False).returncode:
            raise ImportError(f"the history of this checkout does not hold {BEFORE}")
    sys.path.insert(0, str(tree / "src"))
