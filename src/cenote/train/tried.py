"""The learning rates that were tried for a run that is not there yet: where an interrupted training goes on.

runs/x.sweep.json     beside the place of the run: the dev score of every rate that had its round

A round with one rate is the same whatever was tried before it, so that scores are all that has to be kept.
"""

from __future__ import annotations

import json
import math
from collections import UserDict
from collections.abc import Callable
from pathlib import Path


class Tried(UserDict[float, float]):
    """Rate -> dev score, minus infinity where the loss was not finite; on disk as soon as it is known.

    place: where the run will be. key: what tells this training from others, whose scores are not taken. clock: the
    seconds that training took since this was made.
    """

    def __init__(self, place: Path, key: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self._file, self._key, self._clock = place.with_name(f"{place.name}.sweep.json"), key, clock
        self._before = 0.0
        try:
            told = json.loads(self._file.read_text())
            if told["key"] == key:
                self._before = float(told["seconds"])
                self.data = {float(rate): -math.inf if score is None else float(score) for rate, score in told["tried"]}
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none was kept, or what was is damaged: the rates are tried again

    @property
    def seconds(self) -> float:
        """Seconds that training took, interrupted ones included."""
        return self._before + self._clock()

    def __setitem__(self, rate: float, score: float) -> None:
        super().__setitem__(rate, score)
        tried = [[rate, score if math.isfinite(score) else None] for rate, score in self.items()]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        half = self._file.with_name(f".{self._file.name}.half")
        half.write_text(json.dumps({"key": self._key, "tried": tried, "seconds": self.seconds}) + "\n")
        half.replace(self._file)

    def forget(self) -> None:
        """Remove the file: the run is there."""
        self._file.unlink(missing_ok=True)
