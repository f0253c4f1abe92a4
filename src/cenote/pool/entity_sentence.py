"""EntitySentencePool: the greatest values over each of two mentions, and over the whole sentence.

    y = [max_{n in e1} x_n ; max_{n in e2} x_n ; max_n x_n]

Nguyen, Dernoncourt & Nguyen, "On the Effectiveness of the Pooling Methods for Biomedical Relation Extraction with Deep
Learning" (1911.01055).
"""

from __future__ import annotations

from torch import Tensor

from cenote.pool.mentions import Mentions


class EntitySentencePool(Mentions):
    """(B, N, D) -> (B, 3 D); side inputs and errors as in `Mentions`."""

    sets = 1

    def others(self, words: Tensor, rows: Tensor, kept: Tensor, spans: Tensor) -> Tensor:
        """Return every kept token, those of no word too."""
        return kept[:, None]
