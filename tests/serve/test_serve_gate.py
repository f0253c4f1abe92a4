"""Who may come in, and with how much."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from served import TEXTS, collection, listening, refused, served

from cenote.serve import Service, application, gate, limits
from cenote.serve.gate import LOOPBACK

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")

TOKEN = "a-secret-word"
GUARDED = (
    ("POST", "/search", {"queries": ["gzip"]}),
    ("POST", "/documents", {"documents": [{"id": "a", "text": "b"}]}),
    ("DELETE", "/documents/gzip.txt", None),
    ("POST", "/encode", {"texts": ["a"]}),
    ("POST", "/v1/embeddings", {"input": "a", "model": ""}),
    ("GET", "/collection", None),
    ("GET", "/metrics", None),
    ("GET", "/nowhere", None),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection(tmp_path_factory.mktemp("served"))


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "bearer a-secret-wor", "Basic a-secret-word", "a-secret-word", "é"]
)
def test_without_the_token_nothing_of_the_documents_is_given(place: Path, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    with served(place, token=TOKEN) as (_, client):
        for method, path, body in GUARDED:
            answer = client.request(method, path, json=body, headers=headers)
            assert "Authorization: Bearer TOKEN" in refused(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/healthz").json()["documents"] == len(TEXTS)


def test_with_the_token_everything_is_given(place: Path) -> None:
    with served(place, token=TOKEN) as (_, client):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post("/search", {"queries": ["gzip"]}, headers=headers).status_code == 200
        assert client.get("/collection", headers={"Authorization": f"bearer  {TOKEN} "}).status_code == 200


def test_the_page_and_the_health_are_given_without_a_token(place: Path) -> None:
    with served(place, token=TOKEN) as (_, client):
        for path in ("/", "/page.css", "/page.js", "/healthz", "/openapi.json"):
            assert client.get(path).status_code == 200
        for path in ("/healthz/", "/page.js/../search", "/./metrics", "/%6detrics"):
            assert client.get(path).status_code in (401, 404)


def test_tokens_are_compared_in_constant_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(gate, "compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    with served(place, token=TOKEN) as (_, client):
        client.get("/metrics", headers={"Authorization": "Bearer x"})
    assert compared == [(b"x", TOKEN.encode())]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]:8000"])
def test_a_name_that_was_made_to_point_here_is_refused(place: Path, host: str) -> None:
    with served(place, hosts=LOOPBACK) as (_, client):
        refused(client.get("/collection", headers={"Host": host}), 403)
        for known in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"):
            assert client.get("/collection", headers={"Host": known}).status_code == 200


def test_what_a_page_from_elsewhere_can_send_unasked_is_refused(place: Path) -> None:
    body = b'{"documents": [{"id": "planted", "text": "x"}]}'
    with served(place, hosts=LOOPBACK) as (_, client):
        for kind in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
            said = refused(client.post("/documents", content=body, headers=kind), 422)
            assert "application/json" in said
        refused(client.request("OPTIONS", "/documents/gzip.txt"), 405)
        assert client.get("/healthz").json()["documents"] == len(TEXTS)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(place: Path) -> None:
    with served(place) as (_, client):
        large = b" " * (limits.BODY_BYTES + 1)
        answer = client.post("/search", content=large, headers={"Content-Type": "application/json"})
        assert "8,388,608 bytes" in refused(answer, 413)
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 2**20
                yield b" " * 2**20

        refused(client.post("/search", content=endless(), headers={"Content-Type": "application/json"}), 413)
        assert sent <= limits.BODY_BYTES + 2 * 2**20


def test_a_body_that_does_not_come_is_not_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b'{"queries": ["'
        await asyncio.sleep(60)

    with served(place) as (_, client):
        answer = client.post("/search", content=never(), headers={"Content-Type": "application/json"})
        assert "did not come" in refused(answer, 408)


@contextmanager
def patient(place: Path, **options: Any) -> Iterator[tuple[str, int]]:
    """Serve as `cenote serve` does, and yield where."""
    from cenote.serve.patience import PatientProtocol

    with Service(place) as service, listening(application(service), http=PatientProtocol, **options) as address:
        yield "127.0.0.1", int(address.rpartition(":")[2])


@contextmanager
def connected(place: Path) -> Iterator[socket.socket]:
    with patient(place) as where, socket.create_connection(where) as connection:
        yield connection


def _until_closed(connection: socket.socket) -> bytes:
    connection.settimeout(20)
    said = b""
    while more := connection.recv(4096):
        said += more
    return said


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /heal", b"POST /search HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"GET /healthz HTTP/1.1\r\n\r\nGET /"],
    ids=["nothing", "half a line", "half the headers", "half of the second"],
)
def test_a_request_that_does_not_come_is_not_waited_for(
    place: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.3)
    with connected(place) as slow:
        slow.sendall(sent)
        began = time.monotonic()
        said = _until_closed(slow)
        assert time.monotonic() - began < 3
        assert said.count(b"HTTP/1.1 408") == 1 or b"HTTP/1.1 400" in said
        assert b"did not come" in said or b"no request of HTTP" in said


def test_a_client_of_a_byte_at_a_time_is_let_go(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.3)
    with connected(place) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        with pytest.raises(OSError):  # noqa: PT012
            for _ in range(100):
                slow.sendall(b"x")
                time.sleep(0.05)


def test_a_patient_server_answers_those_who_are_not_slow(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.3)
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(place) as connection:
        for _ in range(3):
            connection.sendall(request)
            said = b""
            while not said.endswith(b"}"):
                said += connection.recv(4096)
            assert said.startswith(b"HTTP/1.1 200 OK")
            time.sleep(0.4)
        connection.sendall(b"nonsense\r\n\r\n")
        assert b"400" in _until_closed(connection)


def test_whoever_comes_when_all_connections_are_taken_is_told_when_to_come_again(place: Path) -> None:
    with patient(place, limit_concurrency=2) as (host, port):
        address = f"http://{host}:{port}/healthz"
        with socket.create_connection((host, port)), socket.create_connection((host, port)):
            answer = httpx.get(address)
            assert "all 2 connections of this server are taken" in refused(answer, 503)
            assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")
        began = time.monotonic()
        while httpx.get(address).status_code != 200:
            assert time.monotonic() - began < 20
