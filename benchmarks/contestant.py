"""The process of one contestant: sets up, says so, then takes one turn for every line it is sent."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any


def main(module: str, setup: str, given: str) -> None:
    """Answer on the real stdout; whatever a library prints goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr

    def answer(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=answers, flush=True)

    try:
        turn = getattr(importlib.import_module(module), setup)(*json.loads(given))
    except ImportError as error:
        answer({"missing": str(error)})
        return
    answer({})
    for _ in sys.stdin:
        start = time.perf_counter()
        told = turn()
        taken = time.perf_counter() - start
        answer({"_seconds": taken} | dict(told or {}))


main(*sys.argv[1:])
