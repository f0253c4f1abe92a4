"""The ranking plot: every recipe a line, the best first, for recipes that differ in what they find and not in size.

A bar is the simultaneous 95 % interval of the difference from the best recipe, set at the recipe's own score: one that
reaches the line of the best is not told apart from it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cenote.measure.bootstrap import LEAST_UNITS
from cenote.measure.labels import short_names

if TYPE_CHECKING:
    from cenote.measure.comparison import Comparison, Result

# Okabe & Ito's colours, told apart by colour-blind eyes, and by grey: the shapes differ too
_BEST, _CLOSE, _WORSE, _INK, _FAINT = "#D55E00", "#0072B2", "#8C8C8C", "#222222", "#D9D9D9"
_MARKS = {"best": ("*", 150, _BEST), "highest": ("*", 150, _BEST), "worse": ("s", 26, _WORSE)}
_DPI = 160
_LINE, _MARGINS = 0.26, 1.7
"""Inches of a recipe, and of what stands above and below them."""
_LONGEST = 46
_PLACE = re.compile(r'@("[^"]*"|\S+)')
_COLUMNS = {"score": 0.855, "bytes": 0.925, "ms": 0.985}
"""Where numbers end, of the width of the figure."""
_RIGHT = 0.785
BARS = "bars: 95 % intervals of the difference from it"


def plot(comparison: Comparison, path: str | Path, kind: str) -> None:
    """Draw a comparison to a file of a kind, png or svg; at least one recipe ran."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ran = [result for result in comparison.ranked if result.records is not None]
    # where a run lies says nothing of it
    names, shared = short_names([_PLACE.sub("", result.recipe) for result in ran])
    height = _MARGINS + _LINE * max(3, len(ran))
    # one name for the ids inside an SVG, so that the same comparison gives the same file
    with matplotlib.rc_context({"svg.hashsalt": "cenote", "font.size": 10, "axes.unicode_minus": True}):
        figure = Figure(figsize=(8.0, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        widest = min(_LONGEST, max(map(len, names)))
        left = 0.04 + 0.0098 * max(8, widest)
        axes = figure.add_axes((left, 0.85 / height, _RIGHT - left, (height - _MARGINS) / height))
        for line, result in enumerate(ran):
            _draw(axes, comparison, result, line)
        _style(axes, comparison, ran, names)
        _say(figure, comparison, shared, height)
        figure.savefig(path, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)


def _draw(axes: Any, comparison: Comparison, result: Result, line: int) -> None:
    best, score = comparison.scores[str(comparison.winner)], comparison.scores[result.recipe]
    marker, size, colour = _MARKS.get(comparison.standing(result.recipe), ("o", 40, _CLOSE))
    interval = comparison.from_winner(result.recipe)
    if interval is not None and interval[0] < interval[1]:
        ends = [best + interval[0], best + interval[1]]
        axes.plot(ends, [line, line], color=colour, linewidth=1.6, alpha=0.5, solid_capstyle="butt", zorder=3)
    axes.scatter([score], [line], marker=marker, s=size, color=colour, zorder=4)
    ms = "" if result.ms_per_query is None else f"{result.ms_per_query:.2f}"
    _beside(axes, line, (f"{score:.4f}", f"{result.bytes_per_document or 0:,.0f}", ms))


def _beside(axes: Any, line: float, cells: Sequence[str]) -> None:
    """Write a row of numbers to the right of the axes, at the height of a line."""
    from matplotlib.transforms import blended_transform_factory

    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    for cell, end in zip(cells, _COLUMNS.values(), strict=True):
        axes.text(end, line, cell, transform=across, va="center", ha="right", fontsize=8.5, color=_INK)


def _style(axes: Any, comparison: Comparison, ran: list[Result], names: list[str]) -> None:
    if told_of(comparison):
        best = comparison.scores[str(comparison.winner)]
        axes.axvline(best, color=_BEST, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.set_ylim(len(ran) - 0.5, -0.5)
    labels = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names]
    axes.set_yticks(range(len(ran)), labels, fontsize=9)
    axes.set_xlabel(comparison.title, color=_INK)
    _beside(axes, -1, tuple(_COLUMNS))
    axes.grid(axis="x", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, length=3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_INK)


def _say(figure: Any, comparison: Comparison, shared: str, height: float) -> None:
    count = f"{len(comparison.units):,} {comparison.unit}{'s' * (len(comparison.units) != 1)}"
    figure.text(0.04, 1 - 0.34 / height, f"{comparison.title}, {count}", fontsize=13, weight="bold", color=_INK)
    if shared:
        figure.text(0.04, 1 - 0.58 / height, shared[:100], fontsize=9, color=_INK, family="monospace")
    star = told_of(comparison)
    note = f"{star}   ● not told apart from it   ■ worse   {BARS}" if star else no_verdict(comparison)
    figure.text(0.04, 0.14 / height, note, fontsize=8.5, color=_INK)


def told_of(comparison: Comparison) -> str:
    """Return what the star of a plot stands for; empty where the verdict puts no recipe first."""
    said = {"best": "★ best", "highest": "★ highest score", "": ""}
    return said[comparison.standing(str(comparison.winner))]


def no_verdict(comparison: Comparison) -> str:
    """Return why nothing in a plot is marked."""
    if len(comparison.scores) < 2:
        return "nothing else to compare it with"
    return f"fewer than {LEAST_UNITS} {comparison.unit}s cannot tell recipes apart"
