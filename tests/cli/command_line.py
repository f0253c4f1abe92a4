"""What tests of commands share: the small documents they work on, and what a command that ended has said."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RECIPE = "wordllama | float8 | flat"
TEXTS = {
    "dates.md": "# Dates\n\nParse a date from a string with strptime.\n\n# Zones\n\nConvert times between zones.\n",
    "gzip.txt": "Compress and decompress data with gzip.\n",
    "mail.txt": "Send an email through an SMTP server.\n",
    "notes/csv.txt": "Read a csv file row by row.\n",
}
COMMAND = (sys.executable, "-m", "cenote")


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit code, and what it said on both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value that stdout is."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON values of stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Cenote = Callable[..., Ran]
