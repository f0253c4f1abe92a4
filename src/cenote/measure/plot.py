"""The frontier plot: what a recipe finds against the bytes it takes.

The frontier joins the recipes that no other beats in both. A bar is the simultaneous 95 % interval of the difference
from the best recipe, set at the recipe's own score: one that reaches the line of the best is not told apart from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cenote.measure import ranking
from cenote.measure.labels import Box, place_labels, short_names

if TYPE_CHECKING:
    from cenote.measure.comparison import Comparison

Line: TypeAlias = tuple[tuple[float, float], tuple[float, float]]

# Okabe & Ito's colours, told apart by colour-blind eyes, and by grey: the shapes differ too
_BEST, _FRONT, _OTHER, _INK, _FAINT = "#D55E00", "#0072B2", "#8C8C8C", "#222222", "#D9D9D9"
_FORMATS = ("png", "svg")
_MOST_NAMED = 24
"""With more recipes than this, only those on the frontier and the baseline are named."""
_DPI = 160


def plot(comparison: Comparison, path: str | Path) -> None:
    """Draw a comparison to a PNG or SVG file.

    Raises ValueError for another suffix, or when no recipe ran.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        raise ValueError(f"{path} must end in .png or .svg")
    ran = [result for result in comparison.results if result.records is not None]
    if not ran:
        raise ValueError(f"there is nothing to draw: no recipe ran ({comparison.results[0].error})")
    if comparison.unit != "question" or (len(ran) > 1 and len({result.bytes_per_document for result in ran}) == 1):
        # there is no size to weigh against
        ranking.plot(comparison, path, kind)
        return
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # one name for the ids inside an SVG, so that the same comparison gives the same file
    with matplotlib.rc_context({"svg.hashsalt": "cenote", "font.size": 10, "axes.unicode_minus": True}):
        figure = Figure(figsize=(8.0, 5.2), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.095, 0.15, 0.875, 0.70))
        recipes = [result.recipe for result in ran]
        x = [max(result.bytes_per_document or 0.0, 1.0) for result in ran]
        y = [comparison.scores[recipe] for recipe in recipes]
        front = frontier(x, y)
        _style(axes, comparison, x)
        named = [i for i in range(len(ran)) if len(ran) <= _MOST_NAMED or i in front or i == 0]
        lines = _draw(axes, comparison, recipes, x, y, front, named)
        names, shared = short_names(recipes)
        _title(figure, comparison, shared)
        # the frontier is named first, as it has the first claim to the room
        _label(figure, axes, [(names[i], i) for i in sorted(named, key=lambda i: i not in front)], x, y, lines)
        figure.savefig(path, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)


def frontier(bytes: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return the rows that no other row beats with fewer bytes and a higher score, smallest first."""
    found: list[int] = []
    for i in sorted(range(len(bytes)), key=lambda i: (bytes[i], -scores[i])):
        if not found or scores[i] > scores[found[-1]]:
            found.append(i)
    return found


def _style(axes: Any, comparison: Comparison, x: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = min(x), max(x)
    axes.set_xlim(low / 1.5, high * 1.5 if high > low else low * 1.5)
    wide = high / low > 30
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 3) if wide else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes per document (log scale)", color=_INK)
    axes.set_ylabel(comparison.title, color=_INK)
    axes.grid(color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)


def _draw(
    axes: Any,
    comparison: Comparison,
    recipes: Sequence[str],
    x: Sequence[float],
    y: Sequence[float],
    front: list[int],
    named: list[int],
) -> list[Line]:
    """Draw frontier, intervals and points; return the lines drawn."""
    best, star = max(y), ranking.told_of(comparison)
    if star:
        axes.axhline(best, color=_BEST, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.plot([x[i] for i in front], [y[i] for i in front], color=_FRONT, linewidth=1.2, alpha=0.7, zorder=2)
    lines: list[Line] = [((x[i], y[i]), (x[j], y[j])) for i, j in pairwise(front)]
    if star:
        lines.append(((axes.get_xlim()[0], best), (axes.get_xlim()[1], best)))
    for i, recipe in enumerate(recipes):
        winner, on_front = bool(star) and recipe == comparison.winner, i in front
        colour = _BEST if winner else _FRONT if on_front else _OTHER
        interval = comparison.from_winner(recipe) if i in named else None
        if interval is not None and interval[0] < interval[1]:
            low, high = best + interval[0], best + interval[1]
            axes.plot(
                [x[i], x[i]], [low, high], color=colour, linewidth=1.4, alpha=0.5, solid_capstyle="butt", zorder=3
            )
            lines.append(((x[i], low), (x[i], high)))
        marker, size = ("*", 190) if winner else ("o", 52) if on_front else ("s", 30)
        face = colour if winner or on_front else "white"
        axes.scatter([x[i]], [y[i]], marker=marker, s=size, facecolor=face, edgecolor=colour, linewidth=1.3, zorder=4)
    axes.margins(y=0.12)
    return lines


def _title(figure: Any, comparison: Comparison, shared: str) -> None:
    count = f"{len(comparison.units):,} question{'s' * (len(comparison.units) != 1)}"
    figure.text(0.095, 0.945, f"{comparison.title} against size, {count}", fontsize=13, weight="bold", color=_INK)
    if shared:
        figure.text(0.095, 0.895, _shortened(shared, 100), fontsize=9, color=_INK, family="monospace")
    star = ranking.told_of(comparison)
    marks = "● on the frontier   □ another beats it in both"
    note = f"{star}   {marks}   {ranking.BARS}" if star else f"{marks}   {ranking.no_verdict(comparison)}"
    figure.text(0.095, 0.025, note, fontsize=8.5, color=_INK)


def _label(
    figure: Any,
    axes: Any,
    named: Sequence[tuple[str, int]],
    x: Sequence[float],
    y: Sequence[float],
    lines: Sequence[Line],
) -> None:
    """Write the names where none covers another or a point; a thin line leads to one that stands off."""
    from matplotlib.patheffects import withStroke

    renderer, unit = figure.canvas.get_renderer(), figure.dpi / 72
    to_pixels, to_data = axes.transData.transform, axes.transData.inverted().transform
    halo = [withStroke(linewidth=2.5, foreground="white")]
    texts = [
        axes.text(0, 0, _shortened(name, 46), fontsize=8.5, va="bottom", color=_INK, zorder=6, path_effects=halo)
        for name, _ in named
    ]
    extents = [text.get_window_extent(renderer) for text in texts]
    middles = [tuple(to_pixels(point)) for point in zip(x, y, strict=True)]
    best = max(y)
    radii = [(8.0 if score == best else 5.0) * unit for score in y]
    frame = axes.get_window_extent(renderer)
    boxes = place_labels(
        [middles[i] for _, i in named],
        [(extent.width, extent.height) for extent in extents],
        (frame.x0, frame.y0, frame.x1, frame.y1),
        [(px - r, py - r, px + r, py + r) for (px, py), r in zip(middles, radii, strict=True)],
        [box for start, end in lines for box in _strokes(to_pixels(start), to_pixels(end), unit)],
        unit,
    )
    for text, box, (_, i) in zip(texts, boxes, named, strict=True):
        if box is None:
            text.remove()
            continue
        text.set_position(to_data((box[0], box[1])))
        px, py = middles[i]
        near = min(max(px, box[0]), box[2]), min(max(py, box[1]), box[3])
        if abs(near[0] - px) + abs(near[1] - py) > 15 * unit:
            (ax, ay), (bx, by) = to_data((px, py)), to_data(near)
            axes.plot([ax, bx], [ay, by], color=_INK, linewidth=0.5, alpha=0.6, zorder=1)


def _strokes(start: Sequence[float], end: Sequence[float], unit: float) -> list[Box]:
    """A line as small boxes, so that a label may lie below a slanted one."""
    steps = max(1, round(max(abs(end[0] - start[0]), abs(end[1] - start[1])) / (6 * unit)))
    ends = [tuple(a + (b - a) * k / steps for a, b in zip(start, end, strict=True)) for k in range(steps + 1)]
    return [
        (min(x0, x1) - unit, min(y0, y1) - unit, max(x0, x1) + unit, max(y0, y1) + unit)
        for (x0, y0), (x1, y1) in pairwise(ends)
    ]


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
