"""What one request may ask for. What is beyond is refused with a sentence, never cut."""

from __future__ import annotations

BODY_BYTES = 8 * 2**20
"""Read as JSON in about 50 ms, during which nothing else is answered."""
BODY_SECONDS = 30.0
REQUEST_SECONDS = 60.0
"""From the first byte of a request to its last, after which the connection is closed."""
CONNECTIONS = 512
"""Well below the 1,024 files that a process may usually open."""
WAITING = 1024
"""Requests of one kind that may wait for their turn."""

QUERIES = 256
QUERY_CHARACTERS = 10_000
HITS = 1000
ALL_HITS = 10_000
"""Of all questions of a request together: written as JSON in about 100 ms, during which little else is answered."""
EXPLAINED = 50
"""Hits of a request that are explained: each costs the encoding of its passage."""
WHERE_CHARACTERS = 1000
"""Some 900 terms in a row overflow the stack of the library that reads conditions, and end the process."""

DOCUMENTS = 1000
ID_CHARACTERS = 1000
ATTRIBUTES = 100
NAME_CHARACTERS = 100
TEXTS = 2048
"""As many as clients of the OpenAI shape send at once."""
TEXT_CHARACTERS = 1_000_000
