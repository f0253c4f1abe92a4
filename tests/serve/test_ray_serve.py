"""Serving from a cluster: two replicas on two nodes answer as one process does, also after one of them is killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("ray", reason="the extra cenote[cluster] is not installed")

from served import Client

from cenote.cli.main import main
from cenote.collection import building, create, open_collection
from cenote.serve import Service, application
from cenote.serve.cluster import Replicas, replicated

RECIPE = "passages 12 | (bm25) + (wordllama | truncate 64 | binary | flat | rerank int8 20) | convex 0.4"
THINGS = ("rain", "bread", "glass", "copper", "violin", "harbour", "pepper", "lantern", "glacier", "saddle", "meadow")
ASKED = ["number 17", "copper and bread", "a violin in the harbour", "lantern"]


def text(n: int) -> str:
    return (
        f"Number {n} is of {THINGS[n % 11]}. It lies beside a {THINGS[n // 11 % 11]}, and far from the {n % 7} others."
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A collection of five segments, in which some documents are dead."""
    patch = pytest.MonkeyPatch()
    patch.setattr(building, "STORE_DOCUMENTS", 40)
    folder = tmp_path_factory.mktemp("replicated") / "docs.cenote"
    with create(folder, [{"id": f"d{n}", "text": text(n), "n": n} for n in range(200)], RECIPE) as docs:
        docs.delete([f"d{n}" for n in range(0, 200, 9)])
    yield folder
    patch.undo()


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray
@pytest.mark.usefixtures("two_machines")
def test_replicas_answer_as_one_process_does(place: Path) -> None:
    with replicated(place, "auto", 2) as opener, Service(place, opener) as service, open_collection(place) as one:
        client = Client(application(service))

        def same(**more: object) -> None:
            body = {"queries": ASKED, "k": 7, **more}
            answer = client.post("/search", body)
            assert answer.status_code == 200, answer.text
            wanted = one.search(ASKED, 7, **more)  # type: ignore[arg-type]
            for found, hits in zip(answer.json()["results"], wanted, strict=True):
                assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in hits]
                for mine, theirs in zip(found["hits"], hits, strict=True):
                    assert mine["score"] == pytest.approx(theirs.score, rel=1e-5)
                    assert mine["scores"] == pytest.approx(theirs.scores, rel=1e-5)
                    assert mine["text"] == theirs.text

        same()
        same(where="n >= 100 AND n < 140")
        same(passages=True)
        assert client.get("/collection").json()["passages"] == one.info().passages

        # a commit is picked up, by replicas that never heard of it
        added = {"documents": [{"id": "new", "text": "A copper violin in the bread harbour.", "attributes": {"n": 1}}]}
        assert client.post("/documents", added).status_code == 200
        assert client.ids("a copper violin", k=1) == ["new"]
        assert client.delete("/documents/d17").status_code == 200
        assert one.refresh()
        same()

        os.kill(a_replica(), signal.SIGKILL)
        same()

        with pytest.raises(ValueError, match="3 replicas need a core each"), replicated(place, "auto", 3):
            pass


def a_replica() -> int:
    """The process of one of the replicas."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::ServeReplica:cenote"):
                pids.append(int(process.name))
        except OSError:
            continue
    assert len(pids) == 2, "the segments are shared out to two processes"
    return pids[0]


def test_segments_are_shared_out_evenly_and_stay_where_they_are() -> None:
    replicas = Replicas(Path("docs"), [None, None, None])
    sizes = {"a": 60, "b": 50, "c": 40, "d": 10, "e": 10}
    replicas._assign(sizes)
    first = dict(replicas._owners)
    held = [sum(sizes[name] for name in first if first[name] == n) for n in range(3)]
    assert sorted(held) == [50, 60, 60]
    replicas._assign({"a": 60, "b": 50, "c": 40, "f": 30, "g": 5})
    assert all(replicas._owners[name] == first[name] for name in "abc")
    assert replicas._owners["f"] == first["c"]
    assert "d" not in replicas._owners


def test_replicas_without_a_cluster_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(place), "--replicas", "2"]) == 2
    assert "--ray" in capsys.readouterr().err
