"""The papers and where each stands: planned, built or checked, read from what exists."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cenote import registry


@dataclass(frozen=True)
class Paper:
    """number, title, slug and home of a paper; words: those of its components, with their kinds.

    status: "planned" until a component stands behind a word, "built" then, and "checked" once its claim was checked on
    real data, whatever came out. holds: what came out, None where the data does not decide or nothing was checked.
    """

    number: int
    title: str
    slug: str
    home: str
    words: tuple[str, ...] = ()
    status: str = "planned"
    holds: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)


@cache
def papers() -> list[Paper]:
    """Return every paper, in order of number."""
    raw = tomllib.loads(files("cenote").joinpath("papers.toml").read_text(encoding="utf-8"))
    return sorted((_paper(slug, row) for slug, row in raw.items()), key=lambda paper: paper.number)


def find(slug: str) -> Paper:
    """Return a paper by its slug.

    Raises ValueError naming the nearest.
    """
    known = {paper.slug: paper for paper in papers()}
    if slug not in known:
        close = registry.nearest(slug, known)
        hint = f"the nearest is {close}" if close else "`cenote papers` lists them"
        raise ValueError(f"no paper {slug!r}; {hint}")
    return known[slug]


def result(slug: str) -> dict[str, Any] | None:
    """Return what the check of a paper found, None where it was not run."""
    place = files("cenote").joinpath("claims", "results", f"{slug}.json")
    if not place.is_file():
        return None
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return found


def took(found: dict[str, Any]) -> str:
    """Return what the check behind a result took, and on which processor."""
    return f"{found['cpu_seconds']:,.0f} CPU seconds on {found['cpu']}"


def _paper(slug: str, row: dict[str, Any]) -> Paper:
    words = [one for one in registry.rows() if one.paper == row["number"] and one.built]
    checked = result(slug)
    status = "checked" if words and checked is not None else "built" if words else "planned"
    return Paper(
        number=row["number"],
        title=row["title"],
        slug=slug,
        home=row["home"],
        words=tuple(f"{one.kind} {one.word}" for one in words),
        status=status,
        holds=None if checked is None else checked["holds"],
    )
