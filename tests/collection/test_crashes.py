"""Killed at any moment: what was acknowledged is there, the index opens, and nothing half-written is seen."""

import json
import multiprocessing
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from shelf import RECIPE
from writing import EVERY, create_slowly, row, write_for_ever

import cenote
from cenote.collection import building

KILLS = 50
FORKS = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module")
def begin() -> Iterator[Callable[..., BaseProcess]]:
    """Begin a process quickly: forked from one that has imported everything and done nothing."""
    FORKS.set_forkserver_preload(
        ["writing", "lance", "torch", "tokenizers", "cenote.collection", "cenote.encode.encoder"]
    )
    begun: list[BaseProcess] = []

    def begin(target: Callable[..., None], *args: Any) -> BaseProcess:
        begun.append(FORKS.Process(target=target, args=args, daemon=True))
        begun[-1].start()
        return begun[-1]

    yield begin
    for one in begun:
        one.kill()


def lines(notes: Path) -> list[dict[str, Any]]:
    """What was noted; the last line may have been cut."""
    whole = notes.read_bytes().split(b"\n")[:-1] if notes.exists() else []
    return [json.loads(line) for line in whole]


def killed(process: BaseProcess, notes: Path, commits: int, seconds: float) -> None:
    """Kill a process so long after it began to work and acknowledged so many commits, however slow it is here."""
    deadline = time.monotonic() + 60
    while not (noted := lines(notes)) or sum("committed" in line for line in noted) < commits:
        assert process.is_alive(), "the process ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(seconds)
    assert process.is_alive(), "the process ended by itself"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def states(before: dict[str, str], noted: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Every state the collection may be in after these notes, by what was acknowledged and what was under way."""
    now, under_way = dict(before), [dict(before)]
    doing: dict[str, Any] = {}
    for line in noted:
        if "rows" in line or "gone" in line or "compact" in line:
            now, doing = under_way[-1], line
            under_way = [after(now, doing, done) for done in commits(doing)]
        elif "committed" in line:
            reached = after(now, doing, line["committed"])
            under_way = under_way[under_way.index(reached) :]
    return under_way


def commits(doing: dict[str, Any]) -> list[int]:
    """How many inputs of a call may be done: none, those of whole commits, all."""
    if "compact" in doing:
        return [0]
    if "gone" in doing:
        return [0, len(doing["gone"])]
    return [*range(0, len(doing["rows"]), EVERY), len(doing["rows"])]


def after(now: dict[str, str], doing: dict[str, Any], done: int) -> dict[str, str]:
    if "gone" in doing:
        return {id: text for id, text in now.items() if not done or id not in doing["gone"]}
    return now | dict(zip(doing.get("rows", [])[:done], doing.get("texts", [])[:done], strict=True))


def test_what_was_acknowledged_survives_any_kill(tmp_path: Path, begin: Callable[..., BaseProcess]) -> None:
    chance, place = random.Random(20), tmp_path / "docs.cenote"
    start = [row(n, 0) for n in range(40)]
    cenote.create(place, start, RECIPE).close()
    now = {one["id"]: one["text"] for one in start}
    acknowledged, first = 0, 40
    for kill in range(KILLS):
        notes = tmp_path / f"notes-{kill}"
        live = [int(id[1:]) for id in now]
        process = begin(write_for_ever, place, notes, first, live, kill)
        killed(process, notes, chance.randrange(5), chance.uniform(0, 0.1))
        noted = lines(notes)
        acknowledged += sum("committed" in line for line in noted)
        with cenote.open(place) as docs:
            docs.verify()
            ids = docs.ids()
            found = {one.id: one.text for one in docs.get(ids)}
            assert len(ids) == len(found) == len(docs)
            assert found in states(now, noted), f"kill {kill}"
            newest = max(found, key=lambda id: int(id[1:]))
            # the table behind the recipe knows digits, not their order
            assert newest in [hit.id for hit in docs.search(found[newest], k=6)[0]]
        now = found
        first = 1 + max(int(id[1:]) for line in [{"rows": now}, *noted] for id in line.get("rows", ()))
    assert acknowledged > KILLS, "the kills came too early to prove anything"
    with cenote.open(place) as docs:
        docs.add([row(10**6, 0)])
    left = [path.name for path in place.iterdir()]
    assert "tmp" not in left, "the next writer sweeps what was half written"
    named = {"CURRENT", "LOCK", "seg", "tomb", "stages"}
    assert all(name in named or name.startswith("MANIFEST-") for name in left), left


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path, begin: Callable[..., BaseProcess]) -> None:
    chance, place, count = random.Random(3), tmp_path / "docs.cenote", 3000
    for kill in range(8):
        notes = tmp_path / f"notes-{kill}"
        process = begin(create_slowly, place, count, notes)
        while not lines(notes):
            time.sleep(0.005)
        process.join(chance.uniform(0, 0.5))
        process.kill()
        process.join()
        if (place / "CURRENT").exists() and {"done": True} not in lines(notes):
            with pytest.raises(ValueError, match="was interrupted while it was built"):
                cenote.open(place)
        if {"done": True} in lines(notes):
            break
    else:
        cenote.create(place, [row(n, 0) for n in range(count)], RECIPE).close()
    at_once = cenote.create(tmp_path / "at once", [row(n, 0) for n in range(count)], RECIPE)
    with cenote.open(place) as docs, at_once:
        docs.verify()
        assert sorted(docs.ids()) == sorted(at_once.ids())
        ours, theirs = (one.search("a violin in the rain", k=9)[0] for one in (docs, at_once))
        assert [hit.score for hit in ours] == [hit.score for hit in theirs]


def test_going_on_with_another_recipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "docs.cenote"

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building.Builder, "encode", stop)
        with pytest.raises(KeyboardInterrupt):
            cenote.create(place, [row(n, 0) for n in range(9)], RECIPE)
    with pytest.raises(ValueError, match="begun with the recipe"):
        cenote.create(place, [row(n, 0) for n in range(9)], "wordllama | binary | flat")
    assert cenote.create(place, [row(n, 0) for n in range(9)], RECIPE).report.resumed  # type: ignore[union-attr]
    assert len(cenote.open(place)) == 9


def test_going_on_for_other_documents_is_refused_and_replaces_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, notes, others = tmp_path / "docs.cenote", tmp_path / "notes.jsonl", tmp_path / "others.jsonl"
    for file, first in ((notes, 0), (others, 9)):
        file.write_text("\n".join(json.dumps(row(n, 0) | {"body": "rain"}) for n in range(first, first + 9)))

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building.Builder, "encode", stop)
        with pytest.raises(KeyboardInterrupt):
            cenote.create(place, [notes], RECIPE, limit=7)
    for sources, limit, column, said in (
        ([notes], 3, None, "limit 7 and not 3"),
        ([notes], None, None, "limit 7 and not none"),
        ([notes], 7, "body", "text_column none and not body"),
        ([others], 7, None, f"sources {notes} and not {others}"),
        ([row(0, 0)], 7, None, "and not none"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            cenote.create(place, sources, RECIPE, limit=limit, text_column=column)
    monkeypatch.chdir(tmp_path)
    with cenote.create("docs.cenote", "notes.jsonl", RECIPE, limit=7) as docs:
        assert docs.report.resumed  # type: ignore[union-attr]
        assert len(docs) == 7


def test_what_was_interrupted_is_replaced_by_other_documents_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building.Builder, "encode", stop)
        with pytest.raises(KeyboardInterrupt):
            cenote.create(tmp_path / "docs", [row(n, 0) for n in range(9)], RECIPE)
    with cenote.create(tmp_path / "docs", [row(n, 0) for n in range(9)], RECIPE, limit=4, replace=True) as docs:
        assert not docs.report.resumed  # type: ignore[union-attr]
        assert len(docs) == 4
