"""Encoding a segment: what comes of it depends on nothing but the segment and the stages, whoever does it and when."""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shelf import rows

from cenote.collection import building, encoding
from cenote.collection.attributes import Schema
from cenote.collection.beginning import empty
from cenote.collection.building import Builder, nothing
from cenote.collection.encoding import Encoded, Told, Waiting, encoded, one_by_one
from cenote.collection.intake import Intake
from cenote.collection.memory import budget
from cenote.collection.writer import Writer
from cenote.data import read
from cenote.index.opening import open_index
from cenote.recipe import Chain, parse

RECIPE = str(parse("passages 12 | wordllama | truncate 64 | int8 | flat"))


def stored(writer: Writer, documents: int) -> Builder:
    """Documents stored in a new collection, and its stages."""
    build = Builder(writer, Chain(RECIPE), empty(RECIPE, 0), budget("2GiB"), nothing, each=True)
    build.store(read(rows(0, documents)), Intake(Schema({}), None))
    build.fit()
    return build


def untold(more: int) -> None:
    pass


def loaded(one: Waiting) -> Chain:
    return Chain.load(RECIPE, one.folder / one.stages)


def test_a_segment_encoded_twice_is_there_once(tmp_path: Path) -> None:
    with Writer(tmp_path / "docs") as writer:
        build = stored(writer, 30)
        one = build._waiting(build.draft.segments[0])
        first, second = encoded(one, build.chain, untold), encoded(one, loaded(one), untold)
        assert first.segments == second.segments
        assert len(first.segments) == 1
        assert len(list((writer.folder / "seg").iterdir())) == 2
        assert not list((writer.folder / "tmp").iterdir())


def test_parts_of_the_vectors_are_gone_when_they_are_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, alive = list[weakref.ref[Any]](), list[int]()
    with Writer(tmp_path / "docs") as writer:
        build = stored(writer, 30)
        vectors, index = build.chain.vectors, build.chain.build

        def watched(*given: Any) -> Any:
            found = vectors(*given)
            parts.append(weakref.ref(found))
            return found

        def counted(payload: Any) -> Any:
            alive.append(sum(part() is not None for part in parts))
            return index(payload)

        monkeypatch.setattr(encoding, "_TEXTS", 8)
        monkeypatch.setattr(build.chain, "vectors", watched)
        monkeypatch.setattr(build.chain, "build", counted)
        encoded(build._waiting(build.draft.segments[0]), build.chain, untold)
    assert len(parts) > 2
    assert alive == [0]


def test_memory_cuts_a_segment_and_every_piece_has_a_name_of_its_own(tmp_path: Path) -> None:
    with Writer(tmp_path / "docs") as writer:
        build = stored(writer, 30)
        # twelve vectors of 64 numbers
        one = replace(build._waiting(build.draft.segments[0]), vector_bytes=12 * 4 * 64)
        found = encoded(one, build.chain, untold)
        assert len({segment.name for segment in found.segments}) == len(found.segments) > 1
        assert sum(segment.documents for segment in found.segments) == 30


def test_whoever_is_done_first_the_order_is_that_of_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "STORE_DOCUMENTS", 10)

    def backwards(waiting: Sequence[Waiting], chain: Chain, told: Told) -> Iterator[tuple[Waiting, Encoded]]:
        yield from one_by_one(waiting[::-1], chain, told)

    with Writer(tmp_path / "docs") as writer:
        build = stored(writer, 45)
        again = Builder(writer, build.chain, build.draft, budget("2GiB"), nothing, each=True, encoders=backwards)
        again.finish(open_index)
        assert [segment.documents for segment in again.draft.segments] == [10, 10, 10, 10, 5]
    from cenote.collection import open_collection

    with open_collection(tmp_path / "docs") as docs:
        assert docs.ids() == [f"d{n}" for n in range(45)]
        assert docs.search(rows(17, 18)[0]["text"], k=1)[0][0].id == "d17"


def test_encoding_tells_how_far_it_is_while_it_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENOTE_CACHE", "off")  # what other tests encoded is told of at once
    with Writer(tmp_path / "docs") as writer:
        build = stored(writer, 1_200)
        told: list[int] = []
        encoded(build._waiting(build.draft.segments[0]), build.chain, told.append)
    assert sum(told) == 1_200
    assert max(told) < 1_200
