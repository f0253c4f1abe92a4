"""A folder is there whole or not at all."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cenote.encode.whole import whole


def test_a_folder_takes_its_place_at_the_end(tmp_path: Path) -> None:
    with whole(tmp_path / "deep" / "out") as half:
        (half / "a").write_text("new")
        assert not (tmp_path / "deep" / "out").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert (tmp_path / "deep" / "out" / "a").read_text() == "new"


def test_an_empty_folder_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole(tmp_path / "out") as half:
        (half / "a").write_text("new")
    assert (tmp_path / "out" / "a").read_text() == "new"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_is_refused_and_replaced_where_asked(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    (out / "b" if kind == "folder" else out).write_text("old")
    with pytest.raises(ValueError, match="there already"), whole(out):
        pass
    assert (out / "b" if kind == "folder" else out).read_text() == "old"
    with whole(out, replace=True) as half:
        (half / "a").write_text("new")
    assert [path.name for path in out.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def fill(folder: Path) -> None:
    with whole(folder, replace=True) as half:
        (half / "a").write_text("new")
        raise RuntimeError("the disk is full")


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b").write_text("old")
    with pytest.raises(RuntimeError, match="full"):
        fill(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


_KILLED = """
import os, sys
from pathlib import Path
from cenote.encode.whole import whole
with whole(Path(sys.argv[1]), replace=True) as half:
    (half / "a").write_text("half")
    if sys.argv[2] == "between":
        os.rename(sys.argv[1], str(half)[:-len("half")] + "old")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes of others cannot be asked for there")
@pytest.mark.parametrize("at", ["writing", "between"])
def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_is_lost(at: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b").write_text("old")
    subprocess.run([sys.executable, "-c", _KILLED, str(out), at], check=False, timeout=120)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(ValueError, match="there already"), whole(out):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "b").read_text() == "old"


def test_what_a_running_process_is_writing_stays(tmp_path: Path) -> None:
    theirs = tmp_path / f".out.{platform.node()}.{os.getppid()}.theirs.half"
    theirs.mkdir()
    with whole(tmp_path / "out") as half:
        (half / "a").write_text("new")
    assert theirs.is_dir()
    assert (tmp_path / "out" / "a").is_file()
