"""Documents of several passages: a document is found by its best one."""

from pathlib import Path

import pytest

import cenote
from cenote.collection import Collection

PARTS = ["A violin stands in the harbour.", "Copper melts at a thousand degrees.", "The saddle is made of leather."]
LONG = [{"id": f"long{n}", "text": " ".join(PARTS[n:] + PARTS[:n]) + f" End of text {n}."} for n in range(3)]
SHORT = [{"id": "short", "text": "Bread is baked at dawn."}]


@pytest.fixture
def docs(tmp_path: Path) -> Collection:
    return cenote.create(tmp_path / "docs", LONG + SHORT, "sentences 1 | wordllama | float32 | flat")


def test_k_hits_are_k_documents_each_by_its_best_passage(docs: Collection) -> None:
    hits = docs.search("melting copper", k=3)[0]
    assert {hit.id for hit in hits} == {"long0", "long1", "long2"}
    assert {hit.text for hit in hits} == {PARTS[1]}


def test_a_hit_says_where_its_passage_is(docs: Collection) -> None:
    for hit in docs.search("a leather saddle", k=3)[0]:
        whole = docs.get([hit.id])[0].text
        assert whole[hit.start : hit.end] == hit.text == PARTS[2]


def test_passages_may_be_asked_for_themselves(docs: Collection) -> None:
    hits = docs.search("melting copper", k=13, passages=True)[0]
    assert len(hits) == 13
    assert len({(hit.id, hit.start) for hit in hits}) == 13
    assert docs.info().passages == 13


def test_deletes_and_filters_reach_passages(docs: Collection) -> None:
    docs.delete(["long1"])
    assert {hit.id for hit in docs.search("copper", k=4)[0]} == {"long0", "long2", "short"}
    assert [hit.id for hit in docs.search("copper", k=4, where="id = 'short'")[0]] == ["short"]
    assert docs.info().passages == 9
    docs.compact()
    assert {hit.id for hit in docs.search("copper", k=4)[0]} == {"long0", "long2", "short"}
    hit = docs.search("a leather saddle", k=1)[0][0]
    assert docs.get([hit.id])[0].text[hit.start : hit.end] == hit.text == PARTS[2]


def test_pages_and_headings_of_the_passage_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Music\n\nA violin is played.\n\n# Metal\n\nCopper melts.\n")
    docs = cenote.create(tmp_path / "docs", tmp_path / "a.md", "sections | wordllama | flat")
    hit = docs.search("melting copper", k=1)[0][0]
    assert (hit.heading, hit.text) == ("Metal", "# Metal\n\nCopper melts.")
