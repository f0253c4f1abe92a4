"""Which files a source holds, in which order, and the ids that they give."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cenote.data import Document, Skipped, read


def write(folder: Path, *names: str) -> Path:
    """Make files that hold their own names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return folder


def ids(sources: object, **options: object) -> list[str]:
    """The ids of a source in which nothing may be skipped."""
    found = list(read(sources, **options))
    assert all(isinstance(one, Document) for one in found), found
    return [one.id for one in found if isinstance(one, Document)]


def test_an_id_is_the_path_below_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b/c.md", "b/d/e.py")
    assert ids(tmp_path) == ["a.txt", "b/c.md", "b/d/e.py"]


def test_a_file_by_itself_is_called_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, "b/c.md")
    assert ids(tmp_path / "b" / "c.md") == ["c.md"]


def test_with_several_sources_the_last_name_of_each_stands_in_front(tmp_path: Path) -> None:
    write(tmp_path, "one/a.txt", "two/a.txt")
    assert ids([tmp_path / "one", tmp_path / "two"]) == ["one/a.txt", "two/a.txt"]


def test_the_name_in_front_does_not_depend_on_how_the_folder_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "one/a.txt", "two/a.txt")
    monkeypatch.chdir(tmp_path / "one")
    assert ids([".", f"..{os.sep}two{os.sep}"]) == ["one/a.txt", "two/a.txt"]


def test_the_text_and_the_place_of_a_file_come_with_it(tmp_path: Path) -> None:
    write(tmp_path, "b/c.txt")
    (document,) = read(tmp_path)
    assert document == Document("b/c.txt", "b/c.txt", source=str(tmp_path / "b" / "c.txt"))


def test_the_order_is_that_of_the_names_not_of_their_making(tmp_path: Path) -> None:
    names = [f"{i}.txt" for i in (10, 2, 33, 1)] + ["z/b.txt", "z/a.txt", "m/c.txt"]
    first, second = write(tmp_path / "1", *names), write(tmp_path / "2", *reversed(names))
    assert ids(first) == ids(second) == ["1.txt", "10.txt", "2.txt", "33.txt", "m/c.txt", "z/a.txt", "z/b.txt"]


def test_sources_come_in_the_order_they_were_given(tmp_path: Path) -> None:
    write(tmp_path, "b/1.txt", "a/1.txt")
    assert ids([tmp_path / "b", [{"id": "row", "text": ""}], tmp_path / "a"]) == ["b/1.txt", "row", "a/1.txt"]


def test_paths_may_be_strings(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    assert ids(str(tmp_path)) == ids((str(tmp_path),)) == ids(tmp_path)


def test_what_is_hidden_or_a_cache_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", ".secret.txt", ".git/config.txt", "b/.x/c.txt", "__pycache__/a.py", "node_modules/m.js")
    assert ids(tmp_path) == ["a.txt"]


def test_a_hidden_file_that_was_named_is_read(tmp_path: Path) -> None:
    write(tmp_path, ".notes.txt")
    assert ids(tmp_path / ".notes.txt") == [".notes.txt"]


def test_a_pattern_takes_what_it_matches(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "a.md", "b/c.md", "b/d/e.md", "b/.f.md")
    assert ids(str(tmp_path / "*.md")) == ["a.md"]
    assert ids(str(tmp_path / "**" / "*.md")) == ["a.md", "b/c.md", "b/d/e.md"]


def test_ids_of_a_pattern_are_paths_below_what_stands_before_its_first_wildcard(tmp_path: Path) -> None:
    write(tmp_path, "docs/x/a.txt", "docs/y/a.txt")
    assert ids(str(tmp_path / "docs" / "*" / "a.txt")) == ["x/a.txt", "y/a.txt"]
    assert ids([str(tmp_path / "docs" / "*" / "a.txt"), []]) == ["docs/x/a.txt", "docs/y/a.txt"]


def test_a_pattern_may_begin_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt", "b/c.txt")
    monkeypatch.chdir(tmp_path)
    assert ids("*.txt") == ["a.txt"]
    assert ids("./b/*.txt") == ["c.txt"]


def test_a_file_may_have_the_name_of_a_pattern(tmp_path: Path) -> None:
    write(tmp_path, "[a].txt", "a.txt")
    assert ids(tmp_path / "[a].txt") == ["[a].txt"]


@pytest.mark.parametrize("name", ["nowhere", "nowhere.txt", "no/where.jsonl", ".."])
def test_a_source_that_is_not_there_is_said_to_be_missing(tmp_path: Path, name: str) -> None:
    missing = tmp_path / "gone" / name
    with pytest.raises(ValueError, match="gone.* does not exist"):
        list(read(missing))


def test_an_empty_folder_holds_no_documents(tmp_path: Path) -> None:
    assert ids(tmp_path) == []


def test_no_sources_give_no_documents() -> None:
    assert ids([]) == []


@pytest.mark.parametrize("name", ["a.xyz", "b.docx", "LICENSE", "picture.png"])
def test_a_type_without_a_reader_is_skipped_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    assert [(one.source, one.kind) for one in read(tmp_path) if isinstance(one, Skipped)] == [
        (str(tmp_path / name), "unknown type")
    ]


def test_suffixes_may_be_capitals(tmp_path: Path) -> None:
    write(tmp_path, "A.TXT", "B.Md", "C.PY")
    assert ids(tmp_path) == ["A.TXT", "B.Md", "C.PY"]


def test_a_link_back_to_its_folder_is_not_followed_again(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b/c.txt")
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert ids(tmp_path) == ["a.txt", "b/c.txt"]


def test_a_pattern_does_not_follow_a_link_back_to_its_folder_again(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b/c.txt")
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert ids(str(tmp_path / "**" / "*.txt")) == ["a.txt", "b/c.txt"]


def test_a_link_to_elsewhere_is_followed(tmp_path: Path) -> None:
    write(tmp_path, "there/a.txt", "here/b.txt")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "there", target_is_directory=True)
    (tmp_path / "here" / "c.txt").symlink_to(tmp_path / "there" / "a.txt")
    assert ids(tmp_path / "here") == ["b.txt", "c.txt", "linked/a.txt"]


def test_a_link_to_nothing_harms_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    (tmp_path / "b.txt").symlink_to(tmp_path / "gone.txt")
    assert ids(tmp_path) == ["a.txt"]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "b.txt")
    assert ids(tmp_path) == ["a.txt"]


def test_a_collection_among_the_files_is_no_source(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "docs.cenote/CURRENT", "docs.cenote/MANIFEST-000001", "docs.cenote/recipe.json")
    assert ids(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("limit", [1, 3, 5, 9])
def test_a_limit_counts_documents(tmp_path: Path, limit: int) -> None:
    write(tmp_path, *(f"{i}.txt" for i in range(5)))
    assert ids(tmp_path, limit=limit) == [f"{i}.txt" for i in range(5)][:limit]


def test_what_is_skipped_does_not_count_to_the_limit(tmp_path: Path) -> None:
    write(tmp_path, "a.xyz", "b.txt", "c.txt", "d.txt")
    assert [type(one) for one in read(tmp_path, limit=2)] == [Skipped, Document, Document]


def test_a_source_behind_the_limit_is_never_asked(tmp_path: Path) -> None:
    def endless() -> object:
        number = 0
        while True:
            yield {"text": f"{number}"}
            number += 1

    assert len(ids(endless(), limit=100)) == 100


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(tmp_path: Path, limit: int) -> None:
    with pytest.raises(ValueError, match="limit must be at least 1"):
        read(tmp_path, limit=limit)


@pytest.mark.parametrize("timeout", [0, -1.5])
def test_a_time_limit_is_more_than_nothing(tmp_path: Path, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be more than 0"):
        read(tmp_path, timeout=timeout)


def test_reading_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.html", "c.csv", "d.ipynb", "e.parquet", "f.pdf", "g/h.md")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}
    list(read(tmp_path))
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")} == before


def test_reading_text_imports_nothing_heavy(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.md")
    program = (
        "import sys; from cenote.data import read; assert len(list(read(sys.argv[1]))) == 2; "
        "print(*sorted({'torch', 'pandas', 'polars', 'pyarrow', 'pypdfium2', 'selectolax'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt", "closed.md/b.txt", "z.txt")
    listed = os.scandir

    def refuse(place: object) -> object:
        if str(place).endswith("closed.md"):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return listed(place)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(read(tmp_path))
    assert [one.id for one in found if isinstance(one, Document)] == ["a.txt", "z.txt"]
    skipped = [one for one in found if isinstance(one, Skipped)]
    assert [(Path(one.source).name, one.kind) for one in skipped] == [("closed.md", "unreadable")]
