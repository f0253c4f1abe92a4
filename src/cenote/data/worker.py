"""A process that parses files: a path a line on stdin, an answer a line on stdout, until stdin ends."""

from __future__ import annotations

import json
import os
import sys

from cenote.data.parsing import parse
from cenote.errors import Unreadable


def main() -> None:
    """Answer every line."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a parser prints must not be taken for an answer
    for line in sys.stdin:
        try:
            answer = parse(json.loads(line)).to_json()
        except Unreadable as error:
            answer = json.dumps({"reason": error.reason, "kind": error.kind})
        answers.write(answer + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
