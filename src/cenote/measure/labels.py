"""Short names of recipes, and places for them in a drawing where none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
"""left, bottom, right, top, in pixels."""

_DISTANCES = (6.0, 9.0, 13.0, 18.0, 25.0, 34.0, 45.0, 58.0, 74.0)
"""From the middle of a point to a label, in points."""
# right first, as people read; then the other sides, then corners
_SIDES = ((1, 0), (1, 1), (1, -1), (-1, 0), (0, 1), (0, -1), (-1, 1), (-1, -1))


def short_names(recipes: Sequence[str]) -> tuple[list[str], str]:
    """Return each recipe without the stages that all of them share, and what they share ("minilm | … | flat")."""
    split = [recipe.split(" | ") for recipe in recipes]
    least = min(map(len, split))
    front = next((i for i in range(least) if len({tuple(s[: i + 1]) for s in split}) > 1), least)
    back = next((i for i in range(least - front) if len({s[-1 - i] for s in split}) > 1), least - front)
    if len(split) == 1 or front + back == 0:
        return list(recipes), ""
    names = [" | ".join(stages[front : len(stages) - back]) or "as is" for stages in split]
    shared = [*split[0][:front], "…", *split[0][len(split[0]) - back :]]
    return names, " | ".join(shared)


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    marks: Sequence[Box],
    lines: Sequence[Box],
    unit: float,
) -> list[Box | None]:
    """Return a box for each label near its point, inside the frame, over no mark, no line and no other label.

    points: pixels. sizes: width and height of each label, pixels. unit: pixels in a point. Where there is no such
    place, one that lies over lines only; where there is none either, None.
    """
    placed: list[Box | None] = []
    held = list(marks)
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        near = [_beside(x, y, width, height, side, far * unit) for far, side in product(_DISTANCES, _SIDES)]
        free = [box for box in near if _inside(box, frame) and not any(_meet(box, other) for other in held)]
        clear = (box for box in free if not any(_meet(box, line) for line in lines))
        box = next(clear, free[0] if free else None)
        placed.append(box)
        if box is not None:
            held.append(box)
    return placed


def _beside(x: float, y: float, width: float, height: float, side: tuple[int, int], far: float) -> Box:
    left = x + far if side[0] > 0 else x - far - width if side[0] < 0 else x - width / 2
    bottom = y + far if side[1] > 0 else y - far - height if side[1] < 0 else y - height / 2
    return left, bottom, left + width, bottom + height


def _inside(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
