"""Encodings are computed once, never mixed up, and a broken store only costs time."""

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import TEXTS, save

from cenote.encode import Encoder, Encodings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cache")
    save(path, prompts={"query": "quick box: "})
    return path / "saved"


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that an encoder computes."""
    texts: list[str] = []
    encode = Encoder.encode

    def counted(self: Encoder, given: Any, *rest: Any, **options: Any) -> Any:
        texts.extend(given)
        return encode(self, given, *rest, **options)

    monkeypatch.setattr(Encoder, "encode", counted)
    return texts


def test_vectors_are_those_of_the_encoder(encoder: Encoder, tmp_path: Path) -> None:
    kept = Encodings(tmp_path)
    for _ in range(2):
        (own, mean), _ = kept.encode(encoder, [None, "mean"], TEXTS * 2, "query")
        np.testing.assert_allclose(own, encoder.encode(TEXTS * 2, "query"), atol=1e-6)
        np.testing.assert_allclose(mean, encoder.encode(TEXTS * 2, "query", pool="mean"), atol=1e-6)
        assert own.dtype == np.float32
        assert own.flags.writeable


def test_a_second_call_computes_nothing(encoder: Encoder, tmp_path: Path, computed: list[str]) -> None:
    first, cost = Encodings(tmp_path).encode(encoder, [None], TEXTS * 3, "document")
    assert sorted(computed) == sorted(TEXTS)
    again, cost_again = Encodings(tmp_path).encode(encoder, [None], TEXTS[::-1], "document")
    assert len(computed) == len(TEXTS)
    np.testing.assert_array_equal(again[0], first[0][: len(TEXTS)][::-1])
    assert cost_again == pytest.approx(cost)


def test_only_what_is_missing_is_computed(encoder: Encoder, tmp_path: Path, computed: list[str]) -> None:
    kept = Encodings(tmp_path)
    kept.encode(encoder, [None], TEXTS[:3], "document")
    computed.clear()
    kept.encode(encoder, [None], TEXTS, "document")
    assert sorted(computed) == sorted(TEXTS[3:])
    computed.clear()
    kept.encode(encoder, [None, "max"], TEXTS[:4], "document")
    assert sorted(computed) == sorted(TEXTS[:4])


def test_no_text_and_no_pooling_give_nothing(encoder: Encoder, tmp_path: Path) -> None:
    (vectors,), seconds = Encodings(tmp_path).encode(encoder, [None], [], "document")
    assert vectors.shape == (0, encoder.dim)
    assert seconds == 0
    assert Encodings(tmp_path).encode(encoder, [], TEXTS, "document") == ([], 0.0)


def test_what_decides_a_vector_is_never_mixed_up(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    kept, options = Encodings(tmp_path), {"device": "cpu", "dtype": "fp32"}
    others: list[tuple[Encoder, str | None, Any]] = [
        (encoder, None, "document"),
        (encoder, None, "query"),
        (encoder, "mean", "document"),
        (encoder, "max", "document"),
        (Encoder(str(folder), device="cpu", dtype="bf16"), None, "document"),
        (Encoder(str(folder), **options, prompts={"document": "fox "}), None, "document"),
        (Encoder(str(folder), **options, max_length=7), None, "document"),
        (Encoder(str(folder), **options, truncate_dim=8), None, "document"),
        (Encoder(str(folder), **options, truncate_dim=16), None, "document"),
        (Encoder("wordllama", device="cpu"), None, "document"),
    ]
    for _ in range(2):
        for one, pool, role in others:
            (vectors,), _ = kept.encode(one, [pool], TEXTS, role)
            np.testing.assert_allclose(vectors, one.encode(TEXTS, role, pool=pool), atol=1e-6)


def test_progress_counts_every_text_once(encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cenote.encode.cache._STEP", 3)
    kept = Encodings(tmp_path)
    kept.encode(encoder, [None], TEXTS[:2], "document")
    for _ in range(2):
        done: list[int] = []
        kept.encode(encoder, [None], TEXTS * 2, "document", progress=done.append)
        assert sum(done) == 2 * len(TEXTS)


def test_what_was_kept_before_an_interruption_stays(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[str]
) -> None:
    monkeypatch.setattr("cenote.encode.cache._STEP", 2)

    def stop(done: int) -> None:
        if len(computed) == 6:  # while the third pair is computed
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Encodings(tmp_path).encode(encoder, [None], TEXTS, "document", progress=stop)
    kept = computed[:4]
    computed.clear()
    Encodings(tmp_path).encode(encoder, [None], TEXTS, "document")
    assert sorted(computed + kept) == sorted(TEXTS)


def _flip(path: Path) -> None:
    path.write_bytes(b"this is no database" * 99)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_table(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE rows (something TEXT)")


def _short_vectors(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE rows SET vector = x'00000000'")


def _become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_flip, _truncate, _empty, _other_table, _short_vectors, _become_a_folder])
def test_a_broken_store_costs_time_only(damage: Any, encoder: Encoder, tmp_path: Path, computed: list[str]) -> None:
    (expected,), _ = Encodings(tmp_path).encode(encoder, [None], TEXTS, "document")
    (store,) = tmp_path.glob("*.sqlite")
    for beside in tmp_path.glob("*.sqlite-*"):
        beside.unlink()
    damage(store)
    computed.clear()
    (found,), _ = Encodings(tmp_path).encode(encoder, [None], TEXTS, "document")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert sorted(computed) == sorted(TEXTS)
    if damage not in (_other_table, _become_a_folder):  # those are nobody's doing but a person's
        computed.clear()
        Encodings(tmp_path).encode(encoder, [None], TEXTS, "document")
        assert not computed


def test_a_locked_store_costs_time_only(encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,), _ = Encodings(tmp_path).encode(encoder, [None], TEXTS[:4], "document")
    connect = sqlite3.connect
    monkeypatch.setattr("cenote.encode.cache.sqlite3.connect", lambda path, **o: connect(path, **{**o, "timeout": 0.1}))
    (store,) = tmp_path.glob("*.sqlite")
    holder = connect(store, isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        (found,), _ = Encodings(tmp_path).encode(encoder, [None], TEXTS, "document")
    finally:
        holder.close()
    np.testing.assert_allclose(found[:4], expected, atol=1e-6)


def test_a_folder_that_cannot_be_written_costs_time_only(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (found,), _ = Encodings(tmp_path / "file").encode(encoder, [None], TEXTS, "document")
    np.testing.assert_allclose(found, encoder.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("word", ["off", ""])
def test_off_keeps_nothing(
    word: str, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CENOTE_CACHE", word)
    for _ in range(2):
        Encodings().encode(encoder, [None], TEXTS, "document")
    assert len(computed) == 2 * len(TEXTS)
    assert list(tmp_path.rglob("*")) == []


def test_the_environment_names_the_folder(encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENOTE_CACHE", str(tmp_path / "there"))
    Encodings().encode(encoder, [None], TEXTS, "document")
    assert len(list((tmp_path / "there").glob("*.sqlite"))) == 1


def test_the_stores_used_longest_ago_go_first(encoder: Encoder, tmp_path: Path, computed: list[str]) -> None:
    roomy = Encodings(tmp_path)
    for age, pool in ((300, "mean"), (200, "max"), (100, "sum")):
        before = set(tmp_path.glob("*.sqlite"))
        roomy.encode(encoder, [pool], TEXTS, "document")
        (store,) = set(tmp_path.glob("*.sqlite")) - before
        os.utime(store, (store.stat().st_mtime - age,) * 2)
    size = store.stat().st_size
    roomy.encode(encoder, ["mean"], TEXTS, "document")  # used again: now the newest
    computed.clear()
    Encodings(tmp_path, max_bytes=3 * size + size // 2).encode(encoder, ["cls"], TEXTS, "document")
    assert sum(path.stat().st_size for path in tmp_path.glob("*.sqlite")) <= 3 * size + size // 2
    computed.clear()
    roomy.encode(encoder, ["mean", "sum", "cls"], TEXTS, "document")
    assert computed == []
    roomy.encode(encoder, ["max"], TEXTS, "document")
    assert len(computed) == len(TEXTS)


def test_what_is_in_use_is_kept_above_the_bound(encoder: Encoder, tmp_path: Path, computed: list[str]) -> None:
    kept = Encodings(tmp_path, max_bytes=1)
    kept.encode(encoder, [None], TEXTS, "document")
    kept.encode(encoder, [None], TEXTS, "document")
    assert len(computed) == len(TEXTS)


def test_the_environment_sets_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENOTE_CACHE_BYTES", "12345")
    assert Encodings().max_bytes == 12345


_WRITER = """
    import sys
    from hashlib import blake2b
    import numpy as np
    from cenote.encode.cache import Encodings

    class Slow:
        '''Stands for an encoder: its vectors say which text they are of.'''
        overflow, max_length = "report", None
        report = type("Report", (), {"count": lambda *a, **k: None})()
        computed = 0
        def width(self, pool): return 8
        def overhead(self, role): return 0
        def fingerprint(self, role): return {"role": role}
        def lengths(self, texts, role): return np.ones(len(texts), np.int64)
        def encode(self, texts, role, pool, progress=None):
            self.computed += len(texts)
            rows = [np.frombuffer(blake2b(text.encode(), digest_size=32).digest(), "<u4") for text in texts]
            return [np.array(rows).astype(np.float32) for _ in pool]

    texts = [f"text {i}" for i in range(300)]
    order = texts if sys.argv[2] == "0" else texts[::-1]
    slow, kept, other = Slow(), Encodings(sys.argv[1]), Slow()
    for i in range(0, 300, 10):
        (found,), _ = kept.encode(slow, [None], order[i : i + 30], "document")
        assert (found == other.encode(order[i : i + 30], "document", [None])[0]).all()
    print(slow.computed)
"""


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_WRITER), str(tmp_path)]
    running = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True) for i in (0, 1)]
    assert [process.communicate(timeout=120)[0] != "" for process in running] == [True, True]
    assert [process.returncode for process in running] == [0, 0]
    assert json.loads(subprocess.run([*command, "0"], stdout=subprocess.PIPE, check=True, text=True).stdout) == 0
