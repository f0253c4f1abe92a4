"""Documents that are easy to tell apart, and a recipe that needs no window and little time."""

from typing import Any

RECIPE = "wordllama | truncate 64 | int8 | flat"
THINGS = (
    *("rain", "bread", "glass", "copper", "violin", "harbour"),
    *("pepper", "lantern", "glacier", "saddle", "meadow", "anchor"),
)


def rows(first: int, last: int, **more: Any) -> list[dict[str, Any]]:
    """Documents d<first> … d<last - 1>: each names its number and two things."""
    return [
        {"id": f"d{n}", "text": f"number {n}: {THINGS[n % 12]} and {THINGS[n // 12 % 12]}", "n": n, **more}
        for n in range(first, last)
    ]
