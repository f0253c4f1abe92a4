"""cenote papers, as a person reads it."""

from cenote.claims.papers import papers
from conftest import Cenote


def test_every_check_says_what_it_found(cenote: Cenote) -> None:
    header, *rows = cenote("papers").out.splitlines()
    assert header.split() == ["state", "claim", "slug", "title", "words"]
    found = {None: "not decided here", True: "shows here", False: "does not show here"}
    for row, paper in zip(rows, papers(), strict=True):
        told = [words for words in found.values() if f"  {words}  " in row]
        assert told == ([found[paper.holds]] if paper.status == "checked" else [])
