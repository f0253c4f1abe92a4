"""A process that writes to a collection until it is killed, and notes what it was told is durable.

One JSON object a line: what a call is about to do, and what it has acknowledged.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shelf import RECIPE, THINGS

import cenote
from cenote.collection import Commit

EVERY = 4
"""Documents a commit."""


def note(path: Path) -> Callable[..., None]:
    """A writer of lines; what it wrote survives its process."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    return lambda **line: void(os.write(handle, json.dumps(line).encode() + b"\n"))


def void(_: Any) -> None:
    pass


def row(n: int, version: int) -> dict[str, Any]:
    """Document d<n>, written for the version-th time."""
    return {"id": f"d{n}", "text": f"number {n}, version {version}: {THINGS[n % 12]}", "n": n}


def write_for_ever(place: Path, notes: Path, first: int, live: list[int], seed: int) -> None:
    """Add documents from number `first` on, change and delete some of those that live, and compact, in random order."""
    chance, say = random.Random(seed), note(notes)
    live = list(live)
    with cenote.open(place) as docs:
        docs.search("rain", k=1)
        say(ready=True)
        while True:
            act = chance.choice(["add", "add", "change", "delete", "compact"])
            if act == "add":
                some = [row(n, 0) for n in range(first, first + chance.randint(1, 14))]
                say(rows=[one["id"] for one in some], texts=[one["text"] for one in some])
                docs.add(some, commit_every=EVERY, on_commit=acknowledged(say))
                live += range(first, first + len(some))
                first += len(some)
            elif act == "change":
                some = [row(n, chance.randint(1, 10**9)) for n in chance.sample(live, min(len(live), 3))]
                say(rows=[one["id"] for one in some], texts=[one["text"] for one in some])
                docs.add(some, commit_every=EVERY, on_commit=acknowledged(say))
            elif act == "delete" and len(live) > 20:
                gone = chance.sample(live, 5)
                say(gone=[f"d{n}" for n in gone])
                docs.delete([f"d{n}" for n in gone])
                say(committed=len(gone))
                live = [n for n in live if n not in gone]
            elif act == "compact":
                say(compact=True)
                docs.compact()


def acknowledged(say: Callable[..., None]) -> Callable[[Commit], None]:
    return lambda commit: say(committed=commit.committed)


def create_slowly(place: Path, count: int, notes: Path) -> None:
    """Create a collection of many small steps."""
    say = note(notes)
    say(ready=True)
    cenote.create(place, [row(n, 0) for n in range(count)], RECIPE, memory="256MiB")
    say(done=True)
