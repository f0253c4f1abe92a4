"""What a server holds does not grow with what it was asked."""

import gc
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from served import TEXTS, collection, served

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")

ROUNDS = 16
"""Twice as many commits as are merged into one segment."""


class Held(NamedTuple):
    files: int
    maps: int
    objects: int


def held() -> Held:
    gc.collect()
    maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    return Held(len(os.listdir("/proc/self/fd")), maps, len(gc.get_objects()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_neither_files_nor_objects_nor_maps_are_left_by_versions_that_are_past(tmp_path: Path) -> None:
    with served(collection(tmp_path)) as (_, client):

        def held_after(first: int) -> Held:
            """Replace one document after another, search the newest version each time, and say what is held."""
            for n in range(first, first + ROUNDS):
                id = list(TEXTS)[n % len(TEXTS)]
                body = {"documents": [{"id": id, "text": f"{TEXTS[id]} Draft {n}."}]}
                assert client.post("/documents", json=body).status_code == 200
                assert client.ids(f"draft {n}", where=f"text like '%Draft {n}.'") == [id]
            return held()

        held_after(0)
        before, after = held_after(ROUNDS), held_after(2 * ROUNDS)
        for name, was, now in zip(Held._fields, before, after, strict=True):
            assert now < was + ROUNDS, f"{name}: {was}, then {now}"
