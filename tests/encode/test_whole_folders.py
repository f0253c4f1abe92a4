"""A folder is there whole or not at all."""

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
