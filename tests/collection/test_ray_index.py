"""Indexing on a cluster: two nodes store what one process does, also when a worker is killed in the middle."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from shelf import rows

import cenote
from cenote.collection import building, cluster

RECIPE = "(bm25) + (wordllama | pca 16 | int8 | flat) | rrf"
ASKED = ["number 17", "copper and bread", "a violin in the harbour", "lantern"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of rows, files that are documents, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("sources")
    for n in range(4):
        lines = [json.dumps(row) for row in rows(60 * n, 60 * n + 60)]
        (folder / f"{n}.jsonl").write_text("\n".join([*lines, "{broken"]))
    (folder / "note.md").write_text("# A note\n\nGlass and copper.")
    (folder / "page.html").write_text("<html><title>t</title><p>A violin, and a saddle.</p></html>")
    (folder / "what.xyz").write_text("of no known type")
    return folder


def running_task() -> int | None:
    """The process of a cluster of this process that encodes a segment now."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_bytes().startswith(b"ray::_encoded") and descends(int(place.name)):
                return int(place.name)
        except OSError:
            continue
    return None


def descends(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


@contextmanager
def killing() -> Iterator[list[int]]:
    """Kill the first process that is seen to encode; the list says which it was."""
    killed, over = list[int](), threading.Event()

    def watch() -> None:
        while not over.is_set() and not killed:
            if (found := running_task()) is not None:
                os.kill(found, signal.SIGKILL)
                killed.append(found)
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray
@pytest.mark.usefixtures("two_machines")
def test_a_cluster_that_loses_a_worker_stores_what_one_process_does(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "STORE_DOCUMENTS", 50)
    with killing() as killed:
        several = cenote.create(tmp_path / "several", sources, RECIPE, ray="auto")
    assert killed, "nothing was killed, and nothing is proved"
    one = cenote.create(tmp_path / "one", sources, RECIPE)
    assert several.ids() == one.ids()
    assert several.report is not None
    assert one.report is not None
    assert several.report.skipped == one.report.skipped
    assert len(several.report.skipped) == 5
    assert several.get(one.ids()) == one.get(one.ids())
    mine, theirs = several.info(), one.info()
    assert (mine.passages, mine.dim) == (theirs.passages, theirs.dim)
    # the tables of documents have random names in them, compressed
    for kind in ("payload", "ids", "structure"):
        assert mine.bytes[kind] == theirs.bytes[kind]
    for found, wanted in zip(several.search(ASKED, 5), one.search(ASKED, 5), strict=True):
        assert [hit.id for hit in found] == [hit.id for hit in wanted]
        for leg in ("bm25", "wordllama"):
            np.testing.assert_allclose([h.scores[leg] for h in found], [h.scores[leg] for h in wanted], rtol=1e-4)
    several.verify()
    assert not (tmp_path / "several" / "tmp").exists()
    named = {segment.name for segment in several._snapshot.manifest.segments}
    assert {place.name for place in (tmp_path / "several" / "seg").iterdir()} == named
    assert len(named) == 5

    # what ends the reading ends it in the same words
    (tmp_path / "table.csv").write_text("title,body\na,b\n")
    reasons = []
    for ray in (None, "auto"):
        with pytest.raises(ValueError, match="text-column") as raised:
            cenote.create(tmp_path / "none", tmp_path / "table.csv", RECIPE, ray=ray)
        reasons.append(str(raised.value))
    assert reasons[0] == reasons[1]


def test_without_ray_an_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"cenote\[cluster\]"):
        cenote.create(tmp_path / "docs", rows(0, 9), RECIPE, ray="auto")
    assert not (tmp_path / "docs").exists()
