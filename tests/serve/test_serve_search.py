"""Searches over HTTP: the answers of the collection, in batches that nobody notices."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from served import TEXTS, Client, collection, refused, served

from cenote.collection import open_collection

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[Client]:
    with served(place) as (_, client):
        yield client


def test_answers_are_those_of_the_collection(client: Client, place: Path) -> None:
    queries = ["compress with gzip", "send an email"]
    answer = client.post("/search", {"queries": queries, "k": 3}).json()
    with open_collection(place) as opened:
        expected = opened.search(queries, 3)
        assert answer["version"] == opened.version
    assert [result["query"] for result in answer["results"]] == queries
    for result, hits in zip(answer["results"], expected, strict=True):
        for shown, hit in zip(result["hits"], hits, strict=True):
            assert shown.pop("why") == []
            assert shown == hit.to_dict()
    assert answer["ms"] > 0


def test_a_condition_keeps_the_documents_it_holds_for(client: Client) -> None:
    assert set(client.ids("data", where="year >= 2000")) == {"mail.txt", "notes/csv.txt"}
    assert client.ids("data", where="year is null and lower(text) like '%zones%'") == ["zones"]
    assert len(client.ids("data", where=None)) == len(TEXTS)


@pytest.mark.parametrize(
    "where", ["length(repeat(text, 100)) > 3", "text || text = 'a'", '"repeat"(text, 9) = text', "nul(text)"]
)
def test_a_condition_cannot_be_made_to_eat_the_memory(client: Client, where: str) -> None:
    assert "not allowed here" in refused(client.post("/search", {"queries": ["data"], "where": where}), 422)


@pytest.mark.parametrize("where", ["place like '/%'", '"PLACE" is not null', "`hash` is null", "id = 'a' or key>3"])
def test_a_condition_cannot_ask_what_files_the_server_has(client: Client, where: str) -> None:
    assert "no column of yours" in refused(client.post("/search", {"queries": ["data"], "where": where}), 422)
    assert client.ids("data", where="text = 'place' or id = 'key'") == []


def test_an_unknown_attribute_is_named_beside_those_there_are(client: Client) -> None:
    said = refused(client.post("/search", {"queries": ["data"], "where": "yeer > 3"}), 400)
    assert "yeer" in said
    assert "year" in said


class Held:
    """Holds up the search of a collection, and counts the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reading: Any) -> None:
        self.asked: list[list[str]] = []
        self.running, self.go_on = threading.Event(), threading.Event()
        search = reading.search

        def held(queries: list[str], *given: Any, **options: Any) -> Any:
            self.asked.append(list(queries))
            self.running.set()
            assert self.go_on.wait(20)
            return search(queries, *given, **options)

        monkeypatch.setattr(reading, "search", held)


def _search(query: str, **more: Any) -> Any:
    return lambda client: client.post("/search", json={"queries": [query], "k": 2, **more})


def test_what_waits_is_searched_together_and_answered_apart(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(place) as (service, client):
        alone = {text: client.ids(text, k=2) for text in TEXTS.values()}
        held = Held(monkeypatch, service._reading)

        async def first(asked: httpx.AsyncClient) -> Any:
            return await _search("the first")(asked)

        async def release(asked: httpx.AsyncClient) -> None:
            await asyncio.to_thread(held.running.wait, 20)
            while len(service._searches._waiting) < len(TEXTS):
                await asyncio.sleep(0.01)
            held.go_on.set()

        async def later(asked: httpx.AsyncClient, text: str) -> Any:
            await asyncio.to_thread(held.running.wait, 20)
            return await _search(text)(asked)

        answers = client.together(first, release, *(lambda c, t=text: later(c, t) for text in TEXTS.values()))
        assert len(held.asked) == 2
        assert sorted(held.asked[1]) == sorted(TEXTS.values())
        for answer, text in zip(answers[2:], TEXTS.values(), strict=True):
            assert [hit["id"] for hit in answer.json()["results"][0]["hits"]] == alone[text]


def test_one_bad_search_does_not_spoil_the_batch(client: Client) -> None:
    good, bad, other = client.together(
        _search("compress with gzip"), _search("compress", where="nothing = 1"), _search("send an email")
    )
    assert good.json()["results"][0]["hits"][0]["id"] == "gzip.txt"
    assert other.json()["results"][0]["hits"][0]["id"] == "mail.txt"
    refused(bad, 400)


def test_a_fault_of_one_question_is_told_to_whom_asked_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(place) as (service, client):
        search = service._reading.search

        def picky(queries: list[str], *given: Any, **options: Any) -> Any:
            if "bad" in queries:
                raise ValueError("this question is longer than the window")
            return search(queries, *given, **options)

        monkeypatch.setattr(service._reading, "search", picky)
        bad, good = client.together(_search("bad"), _search("compress with gzip"))
    assert "window" in refused(bad, 400)
    assert good.json()["results"][0]["hits"][0]["id"] == "gzip.txt"


def test_other_requests_are_answered_while_a_search_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(collection(tmp_path)) as (service, client):
        held = Held(monkeypatch, service._reading)

        async def meanwhile(asked: httpx.AsyncClient) -> list[int]:
            await asyncio.to_thread(held.running.wait, 20)
            paths = ("/healthz", "/metrics", "/", "/collection")
            answers = [await asked.get(path) for path in paths]
            answers.append(await asked.post("/encode", json={"texts": ["a text"]}))
            answers.append(await asked.post("/documents", json={"documents": [{"id": "new", "text": "new"}]}))
            held.go_on.set()
            return [answer.status_code for answer in answers]

        found, statuses = client.together(_search("compress"), meanwhile)
        assert statuses == [200] * 6
        assert found.status_code == 200


def test_what_others_commit_is_found_without_a_restart(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client), open_collection(place) as other:
        assert client.ids("a violin made of glass", k=1) != ["glass"]
        other.add([{"id": "glass", "text": "a violin made of glass"}])
        assert client.ids("a violin made of glass", k=1) == ["glass"]
        other.delete(["glass"])
        assert "glass" not in client.ids("a violin made of glass")


def test_the_state_is_that_of_the_newest_version_before_anybody_searches(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client), open_collection(place) as other:
        before = client.get("/healthz").json()
        other.add([{"id": "glass", "text": "a violin made of glass"}])
        after = client.get("/healthz").json()
        assert after["documents"] == before["documents"] + 1
        assert after["version"] == client.get("/collection").json()["version"] == other.version


def test_a_recipe_that_was_replaced_is_used_at_once(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client), open_collection(place) as other:
        assert client.get("/collection").json()["recipe"] == "wordllama | float8 | flat"
        other.reindex("wordllama | truncate 64 | int8 | flat")
        assert client.ids("compress with gzip", k=1) == ["gzip.txt"]
        shown = client.get("/collection").json()
        assert shown["recipe"] == "wordllama | truncate 64 | int8 | flat"
        assert shown["dim"] == 64


def test_the_counts_are_there_for_prometheus(place: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    with served(place) as (_, client):
        client.ids("compress")
        client.delete("/documents/nowhere")
        client.get("/elsewhere")
        found = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(client.get("/metrics").text)
            for sample in family.samples
        }

    def requests(method: str, path: str, status: int) -> float:
        return found["cenote_requests_total", (("method", method), ("path", path), ("status", str(status)))]

    assert requests("POST", "/search", 200) == 1
    assert requests("DELETE", "/documents/{id:path}", 404) == 1
    assert requests("GET", "other", 404) == 1
    assert found["cenote_documents", ()] == len(TEXTS)
    assert found["cenote_batch_questions_count", ()] == 1
