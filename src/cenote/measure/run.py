"""Runs: the rankings of a system, as TREC writes them.

    question Q0 document rank score tag

Ties. A ranking is ordered by score as a 32-bit float, and equal scores by document id, last id first: the rule of
trec_eval. Other programs break ties otherwise, so equal scores are written one 32-bit step apart: every program that
reads the file sees the order that was measured here.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType

import numpy as np

from cenote.measure.task import Ranking

_SPACE = re.compile(r"\s")


def trec_order(ranking: Ranking) -> Ranking:
    """Return a ranking with its scores as 32-bit floats, greatest first, equal ones by id, last first."""
    rounded = [(document, float(np.float32(score))) for document, score in ranking]
    rounded.sort(key=lambda pair: pair[0], reverse=True)
    rounded.sort(key=lambda pair: -pair[1])
    return rounded


class RunWriter:
    """A listener that writes what it hears to a TREC run file, line by line.

    The columns of a run are divided by spaces, so white space in ids is written percent-encoded ("my%20notes.pdf").
    Raises ValueError where the file cannot be made.
    """

    def __init__(self, path: str | Path, tag: str = "cenote") -> None:
        self.tag = _column(tag)
        try:
            self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise ValueError(f"the run cannot be written to {path} ({error}); name another file") from None

    def __call__(self, unit: str, ranking: Ranking) -> None:
        """Write the ranking of one question, in the order given."""
        above = np.float32(np.inf)
        for rank, (document, score) in enumerate(ranking, 1):
            above = min(np.float32(score), np.nextafter(above, np.float32(-np.inf)))
            # nine digits name a 32-bit float exactly
            self._file.write(f"{_column(unit)} Q0 {_column(document)} {rank} {float(above):.9g} {self.tag}\n")

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _column(text: str) -> str:
    return _SPACE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)
