"""cenote papers and reproduce, as a person reads them."""

from pathlib import Path

from command_line import Cenote

from cenote.claims.papers import papers


def test_every_check_says_what_it_found(cenote: Cenote) -> None:
    header, *rows = cenote("papers").out.splitlines()
    assert header.split() == ["state", "claim", "slug", "title", "words"]
    found = {None: "not decided here", True: "shows here", False: "does not show here"}
    for row, paper in zip(rows, papers(), strict=True):
        told = [words for words in found.values() if f"  {words}  " in row]
        assert told == ([found[paper.holds]] if paper.status == "checked" else [])


def test_how_long_a_check_takes_is_said_before_it_runs(cenote: Cenote, tmp_path: Path) -> None:
    arguments = ("reproduce", "softpool", "--data", tmp_path / "nowhere")
    told, error = cenote(*arguments).err.splitlines()
    assert told.startswith("checking softpool: it took ")
    assert error.startswith("cenote: ")
    assert cenote(*arguments, "-q").err.splitlines() == [error]
