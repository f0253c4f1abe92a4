"""The disk fills up, at every step of a commit in turn: the error passes through, and the collection is as it was."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shelf import RECIPE, rows

import cenote
from cenote.collection import compaction, manifest
from cenote.index import store


class Full:
    """A disk that takes so many flushes, and none afterwards."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.real = os.fsync

    def __call__(self, handle: Any) -> None:
        self.takes -= 1
        if self.takes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.real(handle)


def test_a_commit_on_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = cenote.create(tmp_path / "docs.cenote", rows(0, 30), RECIPE)
    before, failed = set(docs.ids()), 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", Full(failed))
            try:
                docs.add([*rows(30, 34), {"id": "d3", "text": "changed", "n": 3}])
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
        failed += 1
        with cenote.open(docs.path) as again:
            again.verify()
            after = set(again.ids())
        # the very last flushes come when the commit is visible already; nobody was told yet that it stands
        assert after in (before, before | {row["id"] for row in rows(30, 34)})
        if after != before:
            docs.refresh()
            docs.delete([row["id"] for row in rows(30, 34)])
            docs.add(rows(3, 4))
            before = set(docs.ids())
    assert failed > 5, "a commit flushes more than that"
    assert set(docs.ids()) == before | {row["id"] for row in rows(30, 34)}
    assert docs.get(["d3"])[0].text == "changed"
    docs.verify()


def test_a_build_on_a_full_disk_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    while True:
        place = tmp_path / f"{taken}.cenote"
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", Full(taken))
            try:
                cenote.create(place, rows(0, 30), RECIPE).close()
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
        taken += 1
        again = manifest.exists(place) and manifest.read(place).complete
        with cenote.create(place, rows(0, 30), RECIPE, replace=again) as docs:
            assert len(docs) == 30
            docs.verify()
        assert not (place / "tmp").exists()
        assert not list(place.glob("*.half"))
    assert taken > 20, "a build flushes more than that"


def test_a_deletion_on_a_full_disk_stands_and_is_merged_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = cenote.create(tmp_path / "docs.cenote", rows(0, 30), RECIPE)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "write_ids", full)
        assert docs.delete([f"d{n}" for n in range(20)]) == 20
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            docs.compact()
    assert docs.ids() == [f"d{n}" for n in range(20, 30)]
    assert docs.info().dead_documents == 20
    assert not (docs.path / "tmp").exists()
    docs.verify()
    docs.delete(["d20"])
    assert docs.info().dead_documents == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_arrays_that_do_not_fit_say_that_the_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "ids.bin").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        store.write(tmp_path, {"class": "ids", "rows": 9}, {"ids": np.arange(9)})
