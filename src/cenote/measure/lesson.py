"""What a pooler is trained on: pairs or labelled texts, and others of which the dev score is taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from cenote.measure.annotated import Labelled, Pair

DEV_SHARE = 0.2
"""Of the train split: what is held out as dev where the dataset has none."""


@dataclass(frozen=True)
class Lesson:
    """What a pooler is trained on: pairs, or labelled texts."""

    train: Sequence[Pair] | Sequence[Labelled]
    dev: Sequence[Pair] | Sequence[Labelled]

    @classmethod
    def of(cls, train: Sequence[Pair] | Sequence[Labelled], dev: Sequence[Pair] | Sequence[Labelled] | None) -> Lesson:
        """Return a lesson; without dev examples a fifth of the others is held out, by a seed of its own.

        Raises ValueError for fewer than ten examples.
        """
        if len(train) < 10:
            raise ValueError(f"the train split has {len(train)} examples; at least 10 are needed to train a pooler")
        if dev:
            return cls(train, dev)
        order = np.random.default_rng(0).permutation(len(train)).tolist()
        cut = max(2, round(DEV_SHARE * len(train)))
        return cls([train[i] for i in sorted(order[cut:])], [train[i] for i in sorted(order[:cut])])

    @property
    def texts(self) -> list[str]:
        """Every text."""
        return [text for one in (*self.train, *self.dev) for text in _texts(one)]

    @property
    def digest(self) -> str:
        """What tells this lesson from others: a hash of everything in it."""
        parts = [[astuple(one) for one in some] for some in (self.train, self.dev)]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _texts(one: Pair | Labelled) -> tuple[str, ...]:
    return (one.first, one.second) if isinstance(one, Pair) else (one.text,)
