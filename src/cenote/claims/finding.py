"""What a claim check found: figures beside a baseline, and whether the claim shows here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number: of what, on which data, and its interval (95 %) or spread over seeds as low and high."""

    name: str
    data: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Finding:
    """A claim and what became of it.

    claim: what the paper says, in our words. holds: True or False as the figures decide, None where they do not.

    verdict: one sentence. baseline: what it is measured against. seeds: how many, 1 where nothing is random.

    note: what else is to be known, as what would decide a claim that the figures do not.
    """

    claim: str
    holds: bool | None
    verdict: str
    baseline: str
    seeds: int
    figures: tuple[Figure, ...]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)
