"""PiecewisePool: the greatest values over each of two mentions, and over what is left of, between and right of them.

    y = [max_{n in e1} x_n ; max_{n in e2} x_n ; max_{n < e} x_n ; max_{e < n < f} x_n ; max_{n > f} x_n]

e is the mention that comes first in the sentence, f the other; an empty piece gives zeros. The paper calls this dynamic
pooling.

Nguyen, Dernoncourt & Nguyen, "On the Effectiveness of the Pooling Methods for Biomedical Relation Extraction with Deep
Learning" (1911.01055); the pieces after Zeng et al., "Distant Supervision for Relation Extraction via Piecewise
Convolutional Neural Networks" (2015).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cenote.pool.mentions import Mentions


class PiecewisePool(Mentions):
    """(B, N, D) -> (B, 5 D); side inputs and errors as in `Mentions`."""

    sets = 3

    def others(self, words: Tensor, rows: Tensor, kept: Tensor, spans: Tensor) -> Tensor:
        """Return the three pieces; a token of no word is in none."""
        start, end = spans[rows].unbind(2)
        left = (words >= 0) & (words < start.amin(1))
        between = (words >= end.amin(1)) & (words < start.amax(1))
        right = words >= end.amax(1)
        return torch.stack([left, between, right], 1)
