"""cenote serve as a process: its address, its end, and what it says where it cannot begin."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from served import TEXTS, collection

from cenote.cli.main import main
from cenote.collection import open_collection

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")

COMMAND = (sys.executable, "-c", "from cenote.cli.main import run; run()", "serve")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection(tmp_path_factory.mktemp("served"))


@contextmanager
def running(place: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve in a process of its own; yield it and its address."""
    command = [*COMMAND, str(place), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline().decode()
            found = re.search(r"http://\S+", said)
            assert found is not None, said + process.stderr.read().decode()
            yield process, found[0]
        finally:
            process.kill()


def test_it_listens_on_this_machine_only_and_ends_like_any_command(place: Path) -> None:
    with running(place) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        assert httpx.get(f"{address}/healthz").json() == {"status": "ok", "documents": 5, "version": 4}
        assert "<html" in httpx.get(address).text
        port = int(address.rpartition(":")[2])
        for _, _, _, _, (other, *_) in socket.getaddrinfo(socket.gethostname(), port, type=socket.SOCK_STREAM):
            if not other.startswith(("127.", "::1")):
                with pytest.raises(OSError), socket.create_connection((other, port), timeout=5):
                    pass
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_arrays_of_arrow_are_allocated_by_the_system(place: Path) -> None:
    # its own allocator grew for as long as documents were added
    told = "lambda *_, **__: print(__import__('pyarrow').default_memory_pool().backend_name)"
    command = f"import cenote.serve.running as r; r.run = {told}; from cenote.cli.main import run; run()"
    free = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    said = subprocess.run(
        [sys.executable, "-c", command, "serve", str(place)], capture_output=True, env=free, text=True
    )
    assert said.stdout.strip() == "system", said.stderr


def test_sigterm_finishes_what_runs_and_ends_well(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with running(place) as (process, address):
        documents = [{"id": f"d{n}", "text": f"number {n} of many " * 20} for n in range(1000)]
        answers: list[httpx.Response] = []

        def add() -> None:
            answers.append(httpx.post(f"{address}/documents", json={"documents": documents}, timeout=60))

        asking = threading.Thread(target=add)
        asking.start()
        began = time.monotonic()
        while not any((place / "tmp").glob("*")):
            assert time.monotonic() - began < 30
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert answers[0].status_code == 200
        assert answers[0].json()["stored"] == 1000
        assert process.wait(30) == 0
    with open_collection(place) as opened:
        assert len(opened) == len(TEXTS) + 1000


def _refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["serve", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_without_the_extra_it_says_what_to_install(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else found(name))
    said = _refused(capsys, place)
    assert said == 'cenote: serving needs uvicorn; install it with: pip install "cenote[serve]"\n'


def test_what_is_no_collection_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "is no collection" in _refused(capsys, tmp_path)
    assert "does not exist" in _refused(capsys, tmp_path / "nothing")


def test_a_port_that_is_taken_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = _refused(capsys, place, "--port", port)
    assert f"127.0.0.1:{port} cannot be had (Address already in use)" in said
    assert "--port" in said


def test_a_host_that_is_none_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--host" in _refused(capsys, place, "--host", "999.1.2.3")
    assert "--port" in _refused(capsys, place, "--port", "70000")


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two words", "é".encode()])
def test_a_token_file_that_holds_none_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    assert "--token-file" in _refused(capsys, place, "--token-file", tmp_path / "token")


def test_what_everybody_can_reach_without_a_token_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr("cenote.serve.running.run", lambda *given, token, ready: asked.append(token))
    (tmp_path / "token").write_text("a-secret-word\n")
    assert main(["serve", str(place), "--host", "0.0.0.0"]) == 0
    assert "--token-file" in capsys.readouterr().err
    assert main(["serve", str(place), "--host", "0.0.0.0", "--token-file", str(tmp_path / "token")]) == 0
    assert capsys.readouterr().err == ""
    assert asked == [None, "a-secret-word"]
