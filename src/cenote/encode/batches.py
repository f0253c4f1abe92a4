"""Batches: texts of like length together, a budget of tokens in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

LEAST_TOKENS = 256
"""Of a batch that still multiplies at full speed: texts are not spread over threads in smaller ones."""


def batches(lengths: Sequence[int], tokens: int, texts: int | None, share: int) -> Iterator[list[int]]:
    """Yield the numbers of texts with these lengths, longest first, in batches of at most so many tokens and texts.

    A text that alone is longer is a batch of its own. share: threads that compute at once, twice; so that all finish
    at about the same time, each batch is a small share of what is left.
    """
    batch: list[int] = []
    held, left = 0, sum(lengths)
    for row in np.argsort([-length for length in lengths], kind="stable"):
        room = min(tokens, max(left // share, LEAST_TOKENS))
        if batch and (held + lengths[row] > room or len(batch) == texts):
            yield batch
            batch, held, left = [], 0, left - held
        batch.append(int(row))
        held += lengths[row]
    if batch:
        yield batch
