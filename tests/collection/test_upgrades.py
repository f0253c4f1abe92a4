"""Collections stored by earlier versions open, answer, and take more; those of later ones say so."""

import json
import shutil
from hashlib import blake2b
from pathlib import Path

import pytest
from shelf import rows

import cenote
from cenote.collection.manifest import CURRENT, FORMAT

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("format-*.cenote"))


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "docs.cenote"))


def test_there_is_an_example_of_every_format() -> None:
    assert [path.stem for path in EXAMPLES] == [f"format-{number}" for number in range(1, FORMAT + 1)]


def test_it_opens_whole_and_answers(stored: Path) -> None:
    with cenote.open(stored) as docs:
        docs.verify()
        wanted = {row["id"]: row["text"] for row in rows(0, 12) if row["id"] != "d5"}
        wanted["d3"] = "number 3, changed: an umbrella"
        assert {one.id: one.text for one in docs.get(docs.ids())} == wanted
        for id in ("d3", "d7"):
            assert docs.search(wanted[id], k=1)[0][0].id == id
        assert docs.search("rain", k=1, where="n = 7")[0][0].id == "d7"


def test_it_takes_more_and_is_merged(stored: Path) -> None:
    with cenote.open(stored) as docs:
        assert docs.add(rows(12, 20)).added == 8
        docs.compact()
        docs.verify()
        assert len(docs) == 19
        assert docs.search(rows(15, 16)[0]["text"], k=1)[0][0].id == "d15"


def test_a_later_format_asks_for_a_later_version(stored: Path) -> None:
    name = (stored / CURRENT).read_text().split()[0]
    content = json.dumps(json.loads((stored / name).read_text()) | {"format": FORMAT + 1}).encode()
    (stored / name).write_bytes(content)
    (stored / CURRENT).write_text(f"{name} {blake2b(content, digest_size=32).hexdigest()}")
    with pytest.raises(ValueError, match="upgrade cenote"):
        cenote.open(stored)
