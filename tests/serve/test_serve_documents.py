"""Documents added and deleted over HTTP: durable and found when the answer comes."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from served import TEXTS, collection, refused, served

from cenote.collection import open_collection
from cenote.collection.locks import Lock

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")


def _add(id: str, text: str, **attributes: Any) -> Any:
    return lambda client: client.post(
        "/documents", json={"documents": [{"id": id, "text": text, "attributes": attributes}]}
    )


def _stored(place: Path) -> dict[str, str]:
    with open_collection(place) as opened:
        return {document.id: document.text for document in opened.get(opened.ids())}


def test_an_added_document_is_durable_and_found(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        answer = client.together(_add("glass", "a violin made of glass", year=2020, tags=["a", "b"]))[0]
        assert answer.json() == {"stored": 1, "skipped": [], "version": answer.json()["version"]}
        assert _stored(place)["glass"] == "a violin made of glass"
        assert client.ids("violin", k=1, where="year = 2020 and array_contains(tags, 'b')") == ["glass"]
        # its source names no file of the server, whatever its id is
        hit = client.post("/search", {"queries": ["violin"], "k": 1}).json()["results"][0]["hits"][0]
        assert hit["source"] == ""


def test_a_document_with_the_same_id_is_replaced(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        client.together(_add("gzip.txt", "a lantern on a glacier"))
        assert client.ids("lantern", k=1) == ["gzip.txt"]
    assert _stored(place) == TEXTS | {"gzip.txt": "a lantern on a glacier"}


def test_what_does_not_fit_is_skipped_with_the_reason(tmp_path: Path) -> None:
    place = collection(tmp_path)
    documents = [
        {"id": "fits", "text": "copper", "attributes": {"year": 7}},
        {"id": "not", "text": "pepper", "attributes": {"year": "seven"}},
        {"id": "huge", "text": "harbour", "attributes": {"year": 2**70}},
    ]
    with served(place) as (_, client):
        answer = client.post("/documents", {"documents": documents}).json()
    assert answer["stored"] == 1
    assert [one["id"] for one in answer["skipped"]] == ["not", "huge"]
    assert "string" in answer["skipped"][0]["reason"]
    assert set(_stored(place)) == {*TEXTS, "fits"}


def test_additions_of_many_clients_share_commits(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        before = client.get("/healthz").json()["version"]
        answers = client.together(*(_add(f"d{n}", f"number {n}") for n in range(24)))
        assert [answer.json()["stored"] for answer in answers] == [1] * 24
        assert max(answer.json()["version"] for answer in answers) - before < 24
    assert set(_stored(place)) == {*TEXTS, *(f"d{n}" for n in range(24))}


def test_the_last_of_several_that_replace_each_other_stays(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        answers = client.together(*(_add("same", f"number {n}") for n in range(6)))
        assert all(answer.status_code == 200 for answer in answers)
        last = max(range(6), key=lambda n: answers[n].json()["version"])
    assert _stored(place)["same"] == f"number {last}"


def test_skips_go_to_whom_they_concern(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        asks = [_add(f"d{n}", "text", year="x" if n % 2 else n) for n in range(8)]
        answers = [answer.json() for answer in client.together(*asks)]
    assert [answer["stored"] for answer in answers] == [1, 0] * 4
    assert [[one["id"] for one in answer["skipped"]] for answer in answers[1::2]] == [["d1"], ["d3"], ["d5"], ["d7"]]


def test_any_id_can_be_deleted_by_its_path(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        for id in ("notes/csv.txt", "a b?c#d", "../../etc/passwd", "ü/✓", "100%"):
            client.together(_add(id, "some text"))
            assert id in _stored(place)
            assert client.delete(f"/documents/{quote(id, safe='')}").json()["deleted"] == 1
            assert id not in client.ids("some text")
            assert id not in _stored(place)


def test_deleting_what_is_not_there_says_so(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        assert "'nothing'" in refused(client.delete("/documents/nothing"), 404)
        refused(client.delete("/documents/%2e%2e/%2e%2e/CURRENT"), 404)
    assert _stored(place) == TEXTS


def test_an_id_twice_in_one_request_is_refused_whole(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        documents = [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}]
        assert "'a' comes twice" in refused(client.post("/documents", {"documents": documents}), 422)
    assert _stored(place) == TEXTS


def test_while_another_process_writes_additions_are_refused_and_searches_go_on(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        lock = Lock.alone(place / "LOCK")
        answer = client.together(_add("late", "too late"))[0]
        assert "another process is writing" in refused(answer, 409)
        assert answer.headers["retry-after"] == "1"
        assert client.ids("compress with gzip", k=1) == ["gzip.txt"]
        lock.release()
        assert client.together(_add("late", "in time"))[0].status_code == 200


def test_what_was_asked_for_is_finished_before_the_end(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (service, client):
        client.together(*(_add(f"d{n}", f"number {n}") for n in range(3)))
        service.close()
        answer = client.together(_add("after", "the end"))[0]
        refused(answer, 429)
    assert set(_stored(place)) == {*TEXTS, "d0", "d1", "d2"}
