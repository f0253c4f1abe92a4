"""The table of README.md: made from results/*.json, between two marks, so that nothing is typed in by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield one contest as a table: rate, spread, and how many times as fast the first contestant is."""
    rows = result["rows"]
    told = list(dict.fromkeys(name for row in rows for name in row["told"]))
    head = [_cell(result["title"]), f"{result['unit']} a second", "slowest – fastest", "ratio", *told]
    yield f"| {' | '.join(head)} |"
    yield "|---" + "|---:" * (3 + len(told)) + "|"
    for row in rows:
        rates = sorted(result["work"] / seconds for seconds in row["seconds"])
        spread = f"{_rate(rates[0])} – {_rate(rates[-1])}" if rates[0] < rates[-1] else ""  # none of a single turn
        ratio = "" if row is rows[0] else f"{row['median'] / rows[0]['median']:.2f}×"
        cells = [_cell(row["name"]), _rate(result["work"] / row["median"]), spread, ratio]
        cells += [f"{row['told'][name]:.4g}" if name in row["told"] else "" for name in told]
        yield f"| {' | '.join(cells)} |"
    for name, why in result["missing"].items():
        yield f"| {_cell(name)} | did not run: {why} |" + " |" * (2 + len(told))
    if result["note"]:
        yield ""
        yield result["note"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write() -> None:
    """Make the part of README.md between the marks again from every stored result."""
    parts: list[str] = []
    for path in sorted(RESULTS.glob("*.json")):
        stored = json.loads(path.read_text())
        machine = ", ".join(f"{name} {value}" for name, value in stored["machine"].items())
        parts += ["", f"### {stored['heading']}", "", f"Measured {stored['date']} on {machine}.", ""]
        for result in stored["contests"]:
            parts += [*lines(result), ""]
        if path.with_suffix(".png").exists():
            parts += [f"![{stored['heading']}](results/{path.stem}.png)", ""]
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    readme.write_text(before + _BEGIN + "\n" + "\n".join(parts).rstrip() + "\n\n" + _END + after)
