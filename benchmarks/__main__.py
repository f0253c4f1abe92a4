"""python -m benchmarks [NAME…] [--repeats N] [--keep]: hold the contests, print them; --keep also writes README.md."""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
from pathlib import Path

from benchmarks import harness, table

_ALL = sorted(p.stem for p in table.HERE.glob("*.py") if "def contests(" in p.read_text() and p.name[0] != "_")


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_ALL)}")
    parser.add_argument("--repeats", type=int, help="turns of each contestant; the median counts")
    parser.add_argument("--keep", action="store_true", help="write the results and the table of README.md")
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(_ALL)):
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(_ALL)}")
    for name in given.names or _ALL:
        hold(name, given.repeats, given.keep)
    if given.keep:
        table.write()


def hold(name: str, repeats: int | None, keep: bool) -> None:
    """Hold the contests of one benchmark, print each as it ends, and keep them all."""
    from cenote.kernels.machine import described

    module = importlib.import_module(f"benchmarks.{name}")
    heading = (module.__doc__ or name).splitlines()[0].rstrip(".")
    machine = described()
    print(f"\n{heading}\n{', '.join(f'{k} {v}' for k, v in machine.items())}\n", flush=True)
    results = []
    for contest in module.contests():
        results.append(harness.run(contest, repeats).to_dict())
        print("\n".join(table.lines(results[-1])), "\n", flush=True)
    if keep:
        date = datetime.date.today().isoformat()
        stored = {"heading": heading, "date": date, "machine": machine, "contests": results}
        Path(table.RESULTS / f"{name}.json").write_text(json.dumps(stored, indent=1) + "\n")
        if hasattr(module, "draw"):
            module.draw(results, table.RESULTS / f"{name}.png")


main()
