"""A sweep of learning rates: some are tried, and while the best of all lies on the edge, one beyond it is tried too.

    1e-4   1e-3   1e-2   →   3e-2   →   1e-1   …        half a power of ten a step, in whichever direction is best

An edge that is best says only that the best rate is there or further on; a method that wants a rate that was not tried
would be blamed for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

RATES = (1e-4, 1e-3, 1e-2)
"""What is tried first."""
FURTHER = 4
"""Rates that are tried beyond those, at most: two powers of ten."""


def best_rate(scores: Mapping[float, float]) -> float:
    """Return the rate with the highest score; of equals the one nearest the middle of all.

    So an edge is best only where nothing inside is as good.
    """
    ordered = sorted(scores)
    highest = max(scores.values())
    equal = [place for place, rate in enumerate(ordered) if scores[rate] == highest]
    return ordered[min(equal, key=lambda place: abs(place - (len(ordered) - 1) / 2))]


def rate_beyond(scores: Mapping[float, float]) -> float | None:
    """Return the rate to try next: None where the best lies inside, and for a single rate, which was given."""
    found = best_rate(scores)
    if len(scores) == 1 or min(scores) < found < max(scores):
        return None
    # 1, 3, 10, 30, ...: halves of powers of ten to one digit, as sweeps are written
    step = round(2 * math.log10(found)) + (1 if found == max(scores) else -1)
    return float(f"{10 ** (step / 2):.0e}")
