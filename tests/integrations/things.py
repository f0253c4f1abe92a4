"""Documents that adapters are tested with: a few texts that are easy to tell apart, and what each is filtered by."""

from typing import Any

RECIPE = "wordllama | flat"
TEXTS = {
    "dates": "Parse a date from a string with strptime.",
    "gzip": "Compress and decompress data with gzip.",
    "mail": "Send an email through an SMTP server.",
    "csv": "Read a csv file row by row.",
    "zones": "Convert times between zones.",
}
METADATA: dict[str, dict[str, Any]] = {
    "dates": {"year": 1990, "kind": "text", "tags": ["time", "text"]},
    "gzip": {"year": 1995, "kind": "data", "size": 1.5},
    "mail": {"year": 2000, "kind": "text", "open": True},
    "csv": {"year": 2005, "kind": "it's", "tags": ["data"]},
    "zones": {"source": "time/zones.md", "tags": ["time"]},
}
QUESTION = "gzip compress data"
AWKWARD = {
    "text": "a column of ours",
    "id": 7,
    "Key": "two of ours",
    "ptex.fullbanner": "a dot",
    "nested": {"page": 3, "parts": [{"from": 1}, {"to": None}]},
    "nothing": None,
    "empty": [],
    "mixed": [1, "two"],
    "sp ace": "a space",
    "quote'd": "it's",
    "source": 5,
    "_metadata": "the name of the rest",
    "größe": 1.5,
}
"""Metadata that no column can have under its name, or at all."""


def among(wanted: Any) -> list[str]:
    """The ids of the documents whose metadata is wanted."""
    return sorted(id for id in TEXTS if wanted(METADATA[id]))
