"""A collection that is served: small, and easy to tell apart."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx

from cenote.collection import create
from cenote.serve import Service, application

RECIPE = "wordllama | float8 | flat"
TEXTS = {
    "dates.md": "Parse a date from a string with strptime.",
    "gzip.txt": "Compress and decompress data with gzip.",
    "mail.txt": "Send an email through an SMTP server.",
    "notes/csv.txt": "Read a csv file row by row.",
    "zones": "Convert times between zones.",
}
YEARS = dict(zip(TEXTS, (1990, 1995, 2000, 2005, None), strict=True))


def collection(place: Path, recipe: str = RECIPE) -> Path:
    """Make a collection of these texts, with the attributes `year` and `kind`."""
    rows = [{"id": id, "text": text, "year": YEARS[id], "kind": id.partition(".")[2]} for id, text in TEXTS.items()]
    create(place / "docs.cenote", rows, recipe).close()
    return place / "docs.cenote"


@contextmanager
def served(place: Path, **gate: Any) -> Iterator[tuple[Service, "Client"]]:
    """Serve a collection to a client in this process."""
    with Service(place) as service:
        yield service, Client(application(service, **gate))


@contextmanager
def listening(app: Any, **options: Any) -> Iterator[str]:
    """Serve an application on a port of this machine; yield its address."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Client:
    """Asks an application, one request after another or many at once."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def together(self, *asks: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> list[Any]:
        """Ask at once; return the answers in order."""

        async def run() -> list[Any]:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await asyncio.gather(*(ask(client) for ask in asks))

        return asyncio.run(run())

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask one thing."""
        found: httpx.Response = self.together(lambda client: client.request(method, path, **options))[0]
        return found

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", path, **({} if json is None else {"json": json}), **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def ids(self, query: str, **more: Any) -> list[str]:
        """Search; return the ids found."""
        answer = self.post("/search", {"queries": [query], **more})
        assert answer.status_code == 200, answer.text
        return [hit["id"] for hit in answer.json()["results"][0]["hits"]]


def refused(answer: httpx.Response, status: int) -> str:
    """Check that an answer is a refusal, and return its sentence."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type"}
    assert len(error["message"]) > 10
    return str(error["message"])
