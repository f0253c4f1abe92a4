"""Frozen states: what an encoder gives for some texts, held so that poolers can be trained on them many times."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from cenote.encode.encoder import Encoder
from cenote.pool.base import Pooler

MOST_BYTES = 4 * 2**30


class FrozenStates:
    """The states of distinct texts, of the layers that poolers read, in the type they were computed in.

    A layer is computed when a pooler first reads it, and held for the next ones.
    """

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._texts = list(dict.fromkeys(texts))
        self._place = {text: i for i, text in enumerate(self._texts)}
        self._held: dict[int, list[Tensor]] = {}
        self._took: dict[int, float] = {}
        self.spent = 0.0
        """Seconds that passed while states were computed."""

    def seconds(self, pooler: Pooler) -> float:
        """Return how long the states that a pooler reads took, whichever pooler they were computed for."""
        # one pass gives several layers at hardly more than the price of the last
        return max((self._took.get(layer, 0.0) for layer in self._encoder.layers_read_by(pooler)), default=0.0)

    def pooled(self, pooler: Pooler, texts: Sequence[str]) -> Tensor:
        """Return the vectors (n, D) of texts, row i from text i, of unit length.

        Raises ValueError where the states that the pooler reads take more than 4 GiB.
        """
        wanted = self._encoder.layers_read_by(pooler)
        if missing := set(wanted) - self._held.keys():
            # what is computed while a dev score is taken is trained on too
            began = time.perf_counter()
            with torch.inference_mode(False), torch.no_grad():
                self._hold(missing, wanted)
            took = time.perf_counter() - began
            self.spent += took
            self._took |= dict.fromkeys(missing, took)
        places = [self._place[text] for text in texts]
        layers = [torch.cat([self._held[layer][place] for place in places]) for layer in wanted]
        offsets = torch.tensor([0, *(len(self._held[wanted[0]][place]) for place in places)]).cumsum(0)
        x = torch.stack(layers).float() if pooler.reads_layers else layers[0].float()
        return torch.nn.functional.normalize(pooler.forward_packed(x, offsets.to(x.device)), dim=1)

    def _hold(self, missing: Collection[int], wanted: Sequence[int]) -> None:
        size = 0
        kept = sum(one.nbytes for layer in self._held.values() for one in layer)
        new: dict[int, list[Tensor]] = {layer: [torch.empty(0)] * len(self._texts) for layer in missing}
        for batch in self._encoder.states(self._texts, layers=missing):
            for layer, held in new.items():
                x, offsets = batch.kept(layer)
                size += x.nbytes
                for row, one in zip(batch.rows, torch.split(x, offsets.diff().tolist()), strict=True):
                    held[row] = one.clone()
            if kept and size + kept > MOST_BYTES:
                # what only other poolers read is computed again when one of them comes
                self._held = {layer: self._held[layer] for layer in wanted if layer in self._held}
                kept = sum(one.nbytes for layer in self._held.values() for one in layer)
            if size + kept > MOST_BYTES:
                reason = f"the states of {len(self._texts):,} texts take more than {MOST_BYTES >> 30} GiB"
                raise ValueError(f"{reason}; train on fewer texts")
        self._held |= new
