"""The cache of encodings with a meter: what encoding a recipe's documents costs, whoever paid for it first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cenote.arrays import Float32
from cenote.encode.cache import Encodings

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder, Pool
    from cenote.encode.routes import Role


class Metered(Encodings):
    """A cache that recipes share, and that says what each would have cost alone.

    cost: seconds that the documents' encodings took when they were first computed. spent: seconds that passed here.
    Questions are never looked up, so that a search that is timed encodes them.
    """

    def __init__(self, folder: str | Path | None = None, max_bytes: int | None = None) -> None:
        super().__init__(folder, max_bytes)
        self.reset()

    def reset(self) -> None:
        """Start counting again."""
        self.cost = self.spent = 0.0
        self._counted: set[tuple[Pool, int]] = set()

    def encode(
        self,
        encoder: Encoder,
        pools: Sequence[Pool],
        texts: Sequence[str],
        role: Role,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[list[Float32], float]:
        """As `Encodings.encode`."""
        began = time.perf_counter()
        if role == "query":
            arrays: list[Float32] = list(encoder.encode(list(texts), role, pool=list(pools)))
            return arrays, time.perf_counter() - began
        arrays, seconds = super().encode(encoder, pools, texts, role, progress)
        self.spent += time.perf_counter() - began
        # a stage that learns reads its sample once more than the index does; that is one encoding, not two
        distinct = {(pool, hash(text)) for text in texts for pool in pools}
        new = distinct - self._counted
        self._counted |= new
        self.cost += seconds * len(new) / max(1, len(distinct))
        return arrays, seconds
