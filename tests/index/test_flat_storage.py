"""A saved index answers as the one that was saved; damage is named, never answered from."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cenote import registry
from cenote.compress import Codec, Float8, Int8
from cenote.errors import CorruptIndex
from cenote.index import Flat, Index, Rerank, open_index

Matrix = NDArray[np.float32]
BUILDS: dict[str, dict[str, Any]] = {row.word: {"codec": row.word} for row in registry.rows("codec") if row.built} | {
    "float8-fitted": {"codec": Float8("e5m2", "fitted")},
    "int8-dim": {"codec": Int8("dim")},
    "reranked": {"codec": "binary", "rerank": ["int8", "float32"]},
}
every_build = pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
QUERIES = np.random.default_rng(9).uniform(-1, 1, (4, 10)).astype(np.float32)


def drawn(rows: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, 10)).astype(np.float32)


def build_(x: Matrix, build: dict[str, Any]) -> Index:
    """Build with a codec fitted on vectors that are the same for every index."""
    codec = build["codec"]
    if isinstance(codec, Codec):
        codec.fit(drawn(50, seed=5))
    return Flat.build(x, **build)


def assert_answers_alike(one: Index, other: Index, k: int = 12) -> None:
    a, b = one.search(QUERIES, k), other.search(QUERIES, k)
    assert len(one) == len(other)
    assert np.array_equal(a.ids, b.ids)
    np.testing.assert_allclose(a.scores, b.scores, rtol=1e-5, atol=1e-6)
    assert np.array_equal(a.counts, b.counts)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def arrays(index: Index) -> list[NDArray[Any]]:
    """Every array that an index holds, found by walking its objects."""
    found: dict[int, NDArray[Any]] = {}
    waiting: list[Any] = [index]
    while waiting:
        one = waiting.pop()
        if isinstance(one, np.ndarray):
            found[id(one)] = one
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif type(one).__module__.startswith("cenote."):
            waiting.extend(vars(one).values())
    return list(found.values())


# -- saving and opening


@every_build
@pytest.mark.parametrize("rows", [0, 1, 40])
def test_a_saved_index_answers_as_it_did(build: dict[str, Any], rows: int, tmp_path: Path) -> None:
    index = build_(drawn(rows), build)
    index.save(tmp_path / "index")
    assert_answers_alike(open_index(tmp_path / "index"), index)
    assert_answers_alike(type(index).open(str(tmp_path / "index")), index)


@every_build
@pytest.mark.parametrize("cuts", [[0, 40], [0, 13, 40], [0, 0, 5, 5, 39, 40, 40]])
def test_several_folders_opened_as_one_are_the_one(build: dict[str, Any], cuts: list[int], tmp_path: Path) -> None:
    x = drawn(40)
    folders = [tmp_path / str(i) for i in range(len(cuts) - 1)]
    for folder, start, stop in zip(folders, cuts[:-1], cuts[1:], strict=True):
        build_(x[start:stop], build).save(folder)
    whole, parts = build_(x, build), open_index(folders)
    assert_answers_alike(parts, whole)
    rows = np.tile(np.array([39, 0, -1, 13, 12, 5]), (4, 1))
    np.testing.assert_allclose(parts.score(QUERIES, rows), whole.score(QUERIES, rows), rtol=1e-5, atol=1e-6)
    for kept in (0.1, 0.6):
        keep = np.random.default_rng(1).random(40) < kept
        assert np.array_equal(
            parts.search(QUERIES, 8, keep=keep).ids,
            whole.search(QUERIES, 8, keep=keep).ids,
        )


@every_build
def test_several_folders_saved_as_one_are_the_one(build: dict[str, Any], tmp_path: Path) -> None:
    x = drawn(40)
    for name, part in (("a", x[:25]), ("b", x[25:])):
        build_(part, build).save(tmp_path / name)
    open_index([tmp_path / "a", tmp_path / "b"]).save(tmp_path / "both")
    build_(x, build).save(tmp_path / "whole")
    for both, whole in zip(files(tmp_path / "both"), files(tmp_path / "whole"), strict=True):
        assert both.relative_to(tmp_path / "both") == whole.relative_to(tmp_path / "whole")
        assert both.read_bytes() == whole.read_bytes()


def test_searching_an_opened_index_leaves_its_files_alone(tmp_path: Path) -> None:
    Flat.build(drawn(40), codec="int8", rerank="float16").save(tmp_path / "index")
    before = {path: path.read_bytes() for path in files(tmp_path)}
    open_index(tmp_path / "index").search(QUERIES, 5)
    assert {path: path.read_bytes() for path in files(tmp_path)} == before


def test_an_index_is_not_saved_over_another(tmp_path: Path) -> None:
    Flat.build(drawn(4)).save(tmp_path / "index")
    with pytest.raises(ValueError, match="already holds an index; save into a new folder"):
        Flat.build(drawn(5)).save(tmp_path / "index")
    assert len(open_index(tmp_path / "index")) == 4


# -- selecting


@every_build
@pytest.mark.parametrize("kept", [0.0, 0.3, 1.0])
def test_selecting_rows_equals_building_from_them(build: dict[str, Any], kept: float, tmp_path: Path) -> None:
    x = drawn(40)
    keep = np.random.default_rng(3).random(40) < kept
    build_(x[:15], build).save(tmp_path / "a")
    build_(x[15:], build).save(tmp_path / "b")
    rebuilt = build_(x[keep], build)
    for index in (build_(x, build), open_index([tmp_path / "a", tmp_path / "b"])):
        assert_answers_alike(index.select(keep), rebuilt)


# -- bytes


@every_build
def test_the_bytes_counted_are_those_of_the_arrays_and_the_files(build: dict[str, Any], tmp_path: Path) -> None:
    x = drawn(40)
    build_(x[:15], build).save(tmp_path / "a")
    build_(x[15:], build).save(tmp_path / "b")
    for index in (build_(x, build), open_index([tmp_path / "a", tmp_path / "b"])):
        held = [array for array in arrays(index) if len(array) and array.dtype != np.int64]
        assert index.nbytes().index == sum(array.nbytes for array in held) + _factor(index)
    assert open_index([tmp_path / "a", tmp_path / "b"]).nbytes().disk == sum(
        path.stat().st_size for path in files(tmp_path)
    )
    assert build_(x, build).nbytes().disk == 0


def _factor(index: Index) -> int:
    """The learnt scale of float8 is a number in memory and eight bytes on disk."""
    return 8 if isinstance(index, Flat) and "factor" in index.codec.state() else 0


@pytest.mark.parametrize("word", [row.word for row in registry.rows("codec") if row.built])
def test_the_payload_is_the_closed_form_of_the_codec(word: str) -> None:
    index = Flat.build(drawn(40), codec=word)
    assert isinstance(index, Flat)
    assert index.nbytes().payload == index.codec.nbytes(40, 10)


def test_only_the_first_pass_of_a_rerank_need_be_resident(tmp_path: Path) -> None:
    Flat.build(drawn(40), codec="binary", rerank="float32").save(tmp_path / "index")
    found = open_index(tmp_path / "index").nbytes()
    assert found.payload == 40 * 2 + 40 * 40
    assert found.resident == 40 * 2


# -- damage


def _damaged(folder: Path, build: dict[str, Any]) -> Sequence[Path]:
    build_(drawn(20), build).save(folder)
    return files(folder)


@every_build
def test_a_file_shorter_by_a_byte_is_named(build: dict[str, Any], tmp_path: Path) -> None:
    for file in _damaged(tmp_path / "index", build):
        whole = file.read_bytes()
        os.truncate(file, len(whole) - 1)
        with pytest.raises(CorruptIndex, match=file.name) as caught:
            open_index(tmp_path / "index")
        assert caught.value.path == file
        file.write_bytes(whole)
    assert len(open_index(tmp_path / "index")) == 20


@every_build
def test_a_file_longer_by_a_byte_is_named(build: dict[str, Any], tmp_path: Path) -> None:
    for file in _damaged(tmp_path / "index", build):
        whole = file.read_bytes()
        file.write_bytes(whole + b"\1")
        with pytest.raises(CorruptIndex, match=file.name):
            open_index(tmp_path / "index")
        file.write_bytes(whole)


@every_build
def test_a_missing_file_is_named(build: dict[str, Any], tmp_path: Path) -> None:
    for file in _damaged(tmp_path / "index", build):
        whole = file.read_bytes()
        file.unlink()
        with pytest.raises(CorruptIndex, match=file.name):
            open_index(tmp_path / "index")
        file.write_bytes(whole)


@pytest.mark.parametrize("build", [BUILDS["float8-fitted"], BUILDS["reranked"]], ids=["flat", "reranked"])
def test_a_flipped_bit_of_the_description_is_never_met_by_a_stray_error(build: dict[str, Any], tmp_path: Path) -> None:
    described = [file for file in _damaged(tmp_path / "index", build) if file.suffix == ".json"]
    for file in described:
        whole = file.read_bytes()
        for position in range(len(whole)):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << (position % 8)
            file.write_bytes(flipped)
            try:
                open_index(tmp_path / "index")
            except ValueError:  # CorruptIndex is one
                pass
        file.write_bytes(whole)


@pytest.mark.parametrize(("name", "value"), [("dim", 11), ("rows", 5), ("codec", {"word": "int9"})])
def test_a_description_that_disagrees_with_the_arrays_is_damage(name: str, value: object, tmp_path: Path) -> None:
    Flat.build(drawn(4)).save(tmp_path)
    description = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**description, name: value}))
    with pytest.raises(CorruptIndex, match=r"index\.json"):
        open_index(tmp_path)


@pytest.mark.parametrize("missing", ["class", "rows", "dim", "codec", "arrays", "format"])
def test_a_description_that_lacks_something_is_damage(missing: str, tmp_path: Path) -> None:
    Flat.build(drawn(4)).save(tmp_path)
    description = json.loads((tmp_path / "index.json").read_text())
    del description[missing]
    (tmp_path / "index.json").write_text(json.dumps(description))
    with pytest.raises(CorruptIndex, match=r"index\.json"):
        open_index(tmp_path)


def test_an_index_of_a_later_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    Flat.build(drawn(4)).save(tmp_path)
    description = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**description, "format": 99}))
    with pytest.raises(ValueError, match="format 99, newer than"):
        open_index(tmp_path)


# -- folders that do not belong together


def test_no_folder_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no folder to open"):
        open_index([])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"codec": "int8"}, {"codec": "binary"}),
        ({"codec": "float8"}, {"codec": Float8("e5m2")}),
        ({"codec": "binary"}, {"codec": "binary", "rerank": "float32"}),
        ({"codec": "binary", "rerank": "float32"}, {"codec": "binary"}),
        ({"codec": "binary", "rerank": "float32"}, {"codec": "binary", "rerank": "int8"}),
        ({"codec": "binary", "rerank": "float32"}, {"codec": "binary", "rerank": Rerank("float32", 50)}),
    ],
)
def test_folders_of_different_kinds_do_not_open_as_one(
    one: dict[str, Any], other: dict[str, Any], tmp_path: Path
) -> None:
    Flat.build(drawn(9), **one).save(tmp_path / "one")
    Flat.build(drawn(9), **other).save(tmp_path / "other")
    with pytest.raises(ValueError, match="other"):
        open_index([tmp_path / "one", tmp_path / "other"])


def test_folders_of_different_widths_do_not_open_as_one(tmp_path: Path) -> None:
    Flat.build(drawn(9)).save(tmp_path / "one")
    Flat.build(drawn(9)[:, :6]).save(tmp_path / "other")
    with pytest.raises(ValueError, match=r"other has .* of 6 dimensions"):
        open_index([tmp_path / "one", tmp_path / "other"])


@pytest.mark.parametrize("kind", [Int8, Float8])
def test_folders_whose_codecs_learnt_from_other_vectors_do_not_open_as_one(
    kind: type[Int8] | type[Float8], tmp_path: Path
) -> None:
    for name, size in (("one", 1.0), ("other", 9.0)):
        codec: Codec = Int8("dim") if kind is Int8 else Float8("e4m3", "fitted")
        Flat.build(drawn(9) * size, codec=codec).save(tmp_path / name)
    with pytest.raises(ValueError, match="other"):
        open_index([tmp_path / "one", tmp_path / "other"])
