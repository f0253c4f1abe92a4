"""A contest: the same work done by several contestants in turn, each in a process of its own; the median counts.

A process of its own, because two libraries may not share their thread pools, memory or imports; in turn, because a
machine's speed drifts; held ready between its turns, because setting up is not what is measured. Contestants that are
all computed by one library may share a process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parent.parent
Turn: TypeAlias = Callable[[], "Mapping[str, float] | None"]
"""One timed run; what it returns, such as recall, is printed beside its time. What starts with _ is a time of its own:
`_seconds` replaces the clock around the run, for a contestant that times a process or a part of itself."""


@dataclass(frozen=True)
class Contest:
    """title: what is done. unit, work: how much of what one turn does, as in 1,024 documents.

    contestants: {name: setup}, the first being ours or what the others are measured against. A setup is a function of
    the module that calls `contest`, named with its arguments, that returns the turn. A setup that raises ImportError
    is left out and named. warm: whether a turn that does not count comes first. together: whether all of them share
    this process.
    """

    title: str
    unit: str
    work: float
    contestants: Mapping[str, tuple[Any, ...]]
    repeats: int = 5
    note: str = ""
    warm: bool = True
    together: bool = False


@dataclass(frozen=True)
class Standing:
    """What one contestant did: seconds of every turn, and what its turns returned (of the last)."""

    name: str
    seconds: tuple[float, ...]
    told: Mapping[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Result:
    """A contest and how it went; missing: {contestant: why it did not run}."""

    contest: Contest
    standings: tuple[Standing, ...]
    missing: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return what the table is made of."""
        contest = self.contest
        rows = [
            {"name": s.name, "median": s.median, "seconds": list(s.seconds), "told": dict(s.told)}
            for s in self.standings
        ]
        told = {"title": contest.title, "unit": contest.unit, "work": contest.work, "note": contest.note}
        return told | {"rows": rows, "missing": dict(self.missing)}


class _Process:
    """A contestant held ready; see contestant.py for the other end."""

    def __init__(self, name: str, setup: Callable[..., Turn], given: tuple[Any, ...]) -> None:
        self.name = name
        line = [sys.executable, "-m", "benchmarks.contestant", setup.__module__, setup.__name__, json.dumps(given)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "CENOTE_CACHE": "off", "TOKENIZERS_PARALLELISM": "true"}
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        self.missing = self._answer().get("missing")

    def turn(self) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with exit code {self._process.wait()}; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


class _Here:
    """A contestant held ready in this process."""

    def __init__(self, name: str, setup: Callable[..., Turn], given: tuple[Any, ...]) -> None:
        self.name, self.missing = name, None
        try:
            self._turn = setup(*given)
        except ImportError as error:
            self.missing = str(error)

    def turn(self) -> dict[str, float]:
        start = time.perf_counter()
        told = self._turn()
        return {"_seconds": time.perf_counter() - start} | dict(told or {})

    def end(self) -> None:
        """Nothing is left to end."""


def run(contest: Contest, repeats: int | None = None) -> Result:
    """Hold the contest: one turn each to warm up where it wants that, then `repeats` rounds."""
    held = _Here if contest.together else _Process
    processes = [held(name, given[0], tuple(given[1:])) for name, given in contest.contestants.items()]
    ready = [process for process in processes if process.missing is None]
    seconds: dict[str, list[float]] = {process.name: [] for process in ready}
    told: dict[str, dict[str, float]] = {}
    for turn in range(int(not contest.warm), (repeats or contest.repeats) + 1):
        for process in ready:
            answer = process.turn()
            if turn:
                seconds[process.name].append(answer.pop("_seconds"))
                told[process.name] = {k: v for k, v in answer.items() if not k.startswith("_")}
    for process in processes:
        process.end()
    standings = tuple(Standing(p.name, tuple(seconds[p.name]), told[p.name]) for p in ready)
    return Result(contest, standings, {p.name: p.missing for p in processes if p.missing is not None})
