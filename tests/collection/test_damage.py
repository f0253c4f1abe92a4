"""Damage is named, never papered over: every file of a collection, cut short or with a bit flipped."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from shelf import RECIPE, rows

import cenote
from cenote.collection import Collection, manifest
from cenote.collection.manifest import CURRENT, HASHED_AT_OPEN
from cenote.errors import CorruptIndex


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection with two segments, dead documents, fitted stages and an earlier version."""
    place = tmp_path_factory.mktemp("whole") / "docs.cenote"
    with cenote.create(place, rows(0, 60), "sentences 1 | wordllama | pca 16 | int8 | flat") as docs:
        docs.add(rows(60, 70))
        docs.delete(["d3", "d65"])
    return place


def named(place: Path) -> list[str]:
    """Every file that must be as it was; LOCK holds nothing."""
    files = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    return [file for file in files if file != "LOCK"]


def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "docs.cenote"))


def test_there_is_something_of_every_kind(whole: Path) -> None:
    kinds = {file.split("/")[0].split("-")[0] for file in named(whole)}
    assert kinds == {"CURRENT", "MANIFEST", "seg", "tomb", "stages"}


def test_a_file_cut_by_a_byte_is_named_at_open(whole: Path, tmp_path: Path) -> None:
    place = copied(whole, tmp_path)
    for file in named(place):
        path = place / file
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(CorruptIndex, match=path.name):
            cenote.open(place)
        path.write_bytes(content)
    cenote.open(place).verify()


@pytest.mark.parametrize("where", [0.0, 0.37, 0.99])
def test_a_flipped_bit_is_named_at_open(whole: Path, tmp_path: Path, where: float) -> None:
    place = copied(whole, tmp_path)
    for file in named(place):
        path = place / file
        content = path.read_bytes()
        damaged = bytearray(content)
        damaged[int(where * len(content))] ^= 1
        path.write_bytes(damaged)
        assert len(content) < HASHED_AT_OPEN
        with pytest.raises(CorruptIndex) as error:
            cenote.open(place)
        # a name that CURRENT spells wrongly is the fault of CURRENT
        assert path.name in str(error.value)
        path.write_bytes(content)
    cenote.open(place).verify()


def test_a_file_that_is_gone_is_named_at_open(whole: Path, tmp_path: Path) -> None:
    place = copied(whole, tmp_path)
    earlier = {path.name for path in place.glob("MANIFEST-*")} - {(place / CURRENT).read_text().split()[0]}
    for file in named(place):
        path = place / file
        if path.name in earlier:  # the version before may go: nothing needs it
            continue
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(CorruptIndex) as error:
            cenote.open(place)
        # a manifest that is gone is named by CURRENT alone, which may itself be what is wrong
        assert path.name in str(error.value)
        path.write_bytes(content)
    cenote.open(place).verify()


def test_a_flipped_bit_in_a_large_file_is_found_by_verify(tmp_path: Path) -> None:
    vectors = 5000 * 256
    assert vectors > HASHED_AT_OPEN
    docs = cenote.create(tmp_path / "docs.cenote", rows(0, 5000), "wordllama | int8 | flat")
    victim = max(docs.path.rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    assert victim.stat().st_size >= vectors
    docs.verify()
    damaged = bytearray(victim.read_bytes())
    damaged[vectors // 2] ^= 16
    docs.close()
    victim.write_bytes(damaged)
    with cenote.open(docs.path) as again, pytest.raises(CorruptIndex, match=victim.name):
        again.verify()


def test_the_last_good_version_is_named(whole: Path, tmp_path: Path) -> None:
    place = copied(whole, tmp_path)
    newest = max(place.glob("MANIFEST-*"))
    version = int(newest.stem.removeprefix("MANIFEST-"))
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(CorruptIndex) as error:
        cenote.open(place)
    earlier = [int(path.stem.removeprefix("MANIFEST-")) for path in place.glob("MANIFEST-*")]
    expected = max((number for number in earlier if number < version), default=None)
    assert error.value.last_good == (None if expected is None else str(expected))


def test_nobody_writes_to_a_damaged_collection(whole: Path, tmp_path: Path) -> None:
    place = copied(whole, tmp_path)
    docs = cenote.open(place)
    victim = next(path for path in sorted((place / "seg").rglob("*")) if path.is_file())
    content = victim.read_bytes()
    victim.write_bytes(content[:-1])
    before = named(place)
    with pytest.raises(CorruptIndex, match=victim.name):
        docs.add(rows(100, 110))
    assert named(place) == before
    victim.write_bytes(content)
    assert docs.add(rows(100, 110)).added == 10


def test_a_damaged_collection_can_be_replaced(whole: Path, tmp_path: Path) -> None:
    place = copied(whole, tmp_path)
    (place / CURRENT).write_bytes(b"nothing")
    with pytest.raises((CorruptIndex, ValueError)):
        cenote.create(place, rows(0, 5), RECIPE)
    docs = cenote.create(place, rows(0, 5), RECIPE, replace=True)
    assert isinstance(docs, Collection)
    assert len(docs) == 5


@pytest.mark.parametrize("file", ["CURRENT", "MANIFEST", "seg"])
def test_a_file_and_a_folder_in_each_others_place_are_named(whole: Path, tmp_path: Path, file: str) -> None:
    place = copied(whole, tmp_path)
    victim = max(place.glob(f"{file}*"))
    if victim.is_dir():
        shutil.rmtree(victim)
        victim.write_bytes(b"")
    else:
        victim.unlink()
        victim.mkdir()
    with pytest.raises(CorruptIndex, match=file):
        cenote.open(place)


def test_a_file_is_no_collection(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("rain")
    with pytest.raises(ValueError, match=r"notes.txt is no collection"):
        cenote.open(tmp_path / "notes.txt")


def test_the_version_before_may_be_removed_while_one_is_opened(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copied(whole, tmp_path)
    before, compared = min(place.glob("MANIFEST-*")), manifest._differs

    def removed_meanwhile(*arguments: Any) -> str | None:
        before.unlink(missing_ok=True)
        return compared(*arguments)

    monkeypatch.setattr(manifest, "_differs", removed_meanwhile)
    cenote.open(place).verify()
    assert not before.exists()
