"""What is held at once is bounded, however large the source."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cenote.collection.memory import budget

pytest.importorskip("wordllama")

# VmHWM and not getrusage: what a process is said to have held at most there includes what held its parent, this suite
SCRIPT = """
import re, sys
from pathlib import Path
import cenote

place, count, memory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rows = ({"id": f"d{n}", "text": f"number {n} of so many documents"} for n in range(count))
cenote.create(place, rows, "wordllama | int8 | flat", memory=memory)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""
MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the most a process held is read from /proc")


def peak(place: Path, count: int, memory: str) -> int:
    """The most memory that a process held while it made a collection."""
    line = [sys.executable, "-c", SCRIPT, str(place), str(count), memory]
    ran = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"CENOTE_CACHE": "off"}, check=True)
    return int(ran.stdout.split()[-1])


@linux
def test_four_times_the_documents_take_no_more_memory(tmp_path: Path) -> None:
    some = peak(tmp_path / "some", 40_000, "256MiB")
    many = peak(tmp_path / "many", 160_000, "256MiB")
    # the vectors of the other 120,000 alone are 117 MiB in fp32, and live twice where they are held at all
    assert many - some < 100 * MIB


@linux
def test_a_limit_is_kept(tmp_path: Path) -> None:
    assert peak(tmp_path / "docs", 60_000, "1GiB") < 1024 * MIB


@pytest.mark.parametrize("memory", ["", "much", "2 apples", "-1GiB", "1MiB", 0, "nan", "1e9"])
def test_what_is_no_amount_is_refused(memory: str | int) -> None:
    with pytest.raises(ValueError, match="memory"):
        budget(memory)


@pytest.mark.parametrize(
    ("memory", "bytes"), [("2GiB", 2**31), ("500MB", 5e8), ("1.5 gib", 1.5 * 2**30), (2**30, 2**30)]
)
def test_amounts_are_read_as_people_write_them(memory: str | int, bytes: float) -> None:
    assert budget(memory).characters == int(bytes) // 64
