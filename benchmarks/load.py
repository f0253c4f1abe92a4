"""python -m benchmarks.load [--seconds S] [--clients N] [--adds P] [--recipe R]: a server under many clients at once.

Every client asks again as soon as it is answered: with probability P it replaces one of 2,000 documents by id, else it
searches. The server is a process of its own on this machine, started here. Printed are errors, latencies, and the
server's memory in each quarter of the time; exit code 1 where there was an error, where p99 of a kind is more
than 5 times its p50, or where memory grew by more than a tenth from the first quarter to the last.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import cenote

DOCUMENTS = 2_000
THINGS = ("rain", "bread", "glass", "copper", "violin", "harbour", "pepper", "lantern", "glacier", "saddle", "anchor")
MOST_SPREAD = 5.0
MOST_GROWTH = 1.1
_WARM_SHARE = 0.2
"""Of the time at the beginning, which is not measured: caches fill, and the first segments are merged."""


def text(chance: random.Random) -> str:
    """Return some forty words."""
    return " ".join(chance.choices(THINGS, k=30)) + f", number {chance.randrange(10**6)}"


@contextmanager
def serving(recipe: str) -> Iterator[tuple[int, int]]:
    """Serve a new collection; yield the server's port and process."""
    with tempfile.TemporaryDirectory() as folder:
        chance = random.Random(0)
        rows = [{"id": f"d{n}", "text": text(chance), "n": n} for n in range(DOCUMENTS)]
        cenote.create(f"{folder}/docs.cenote", rows, recipe).close()
        command = "from cenote.cli.main import run; run()"
        arguments = [sys.executable, "-c", command, "serve", f"{folder}/docs.cenote", "--port", "0"]
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr is not None
                found = re.search(r"http://127.0.0.1:(\d+)", server.stderr.readline())
                assert found is not None, server.stderr.read()
                yield int(found[1]), server.pid
            finally:
                server.terminate()
                server.wait()


class Clients:
    """Clients in threads, each with a connection of its own."""

    def __init__(self, port: int, count: int, adds: float, until: float) -> None:
        self.answers: list[tuple[str, float, float]] = []
        self.errors: list[str] = []
        self._port, self._adds, self._until = port, adds, until
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(count)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        chance = random.Random(seed + 1)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while time.monotonic() < self._until:
            kind = "add" if chance.random() < self._adds else "search"
            began = time.monotonic()
            try:
                status, said = self._ask(connection, kind, chance)
                if status != 200:
                    self.errors.append(f"{kind}: {status} {said[:200]!r}")
            except OSError as error:
                self.errors.append(f"{kind}: {error}")
                connection.close()
            self.answers.append((kind, began, time.monotonic() - began))
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, kind: str, chance: random.Random) -> tuple[int, bytes]:
        body: dict[str, Any] = {"queries": [" ".join(chance.choices(THINGS, k=4))], "k": 10}
        if kind == "add":
            body = {"documents": [{"id": f"d{chance.randrange(DOCUMENTS)}", "text": text(chance)}]}
        path = "/documents" if kind == "add" else "/search"
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def resident(process: int) -> float:
    """Return the resident memory of a process in MiB: what it holds itself, without the files it maps."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long (60)")
    parser.add_argument("--clients", type=int, default=32, help="how many at once (32)")
    parser.add_argument("--adds", type=float, default=0.1, help="share of additions among the requests (0.1)")
    parser.add_argument("--recipe", default="wordllama | float8 | flat", help="of the collection")
    given = parser.parse_args()
    with serving(given.recipe) as (port, process):
        began = time.monotonic()
        clients = Clients(port, given.clients, given.adds, began + given.seconds)
        warm = began + _WARM_SHARE * given.seconds
        held: list[float] = []
        while time.monotonic() < began + given.seconds:
            time.sleep(0.25)
            if time.monotonic() > warm:
                held.append(resident(process))
        clients.join()
    return told(clients, warm, held)


def told(clients: Clients, warm: float, held: list[float]) -> int:
    """Print what happened; return the exit code."""
    good = not clients.errors
    print(f"{len(clients.answers):,} requests, {len(clients.errors)} errors")
    for error in clients.errors[:5]:
        print(f"  {error}")
    for kind in ("search", "add"):
        seconds = np.array([taken for name, began, taken in clients.answers if name == kind and began > warm])
        if not len(seconds):
            continue
        p50, p99 = np.percentile(1000 * seconds, [50, 99])
        good &= bool(p99 <= MOST_SPREAD * p50)
        spread = f"p50 {p50:7.1f} ms  p99 {p99:7.1f} ms ({p99 / p50:.1f} times)  {1000 * seconds.max():7.1f} at most"
        print(f"{kind:6}  {len(seconds):7,} times  {spread}")
    quarters = [float(np.median(part)) for part in np.array_split(np.array(held), 4)]
    good &= quarters[-1] <= MOST_GROWTH * quarters[0]
    print(f"memory  {', '.join(f'{mib:,.0f}' for mib in quarters)} MiB, a quarter of the time each")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
