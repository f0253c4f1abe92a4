"""Frozen states: what an encoder gives for some texts, held so that a pooler can be trained on them many times."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cenote.encode.encoder import Encoder
from cenote.pool.base import Pooler

MOST_BYTES = 4 * 2**30


class FrozenStates:
    """The states of distinct texts, of the layers that a pooler reads, in the type they were computed in.

    Raises ValueError where they take more than 4 GiB.
    """

    def __init__(self, encoder: Encoder, texts: Sequence[str], pooler: Pooler) -> None:
        distinct = list(dict.fromkeys(texts))
        self._place = {text: i for i, text in enumerate(distinct)}
        self._layers = pooler.reads_layers
        self._states: list[Tensor] = [torch.empty(0)] * len(distinct)
        wanted, held = encoder.layers_read_by(pooler), 0
        for batch in encoder.states(distinct, layers=wanted):
            kept = [batch.kept(layer) for layer in wanted]
            stacked = torch.stack([x for x, _ in kept])
            held += stacked.nbytes
            if held > MOST_BYTES:
                reason = f"the states of {len(distinct):,} texts take more than {MOST_BYTES >> 30} GiB"
                raise ValueError(f"{reason}; train on fewer texts")
            for row, one in zip(batch.rows, torch.split(stacked, kept[0][1].diff().tolist(), dim=1), strict=True):
                self._states[row] = one.clone()

    def pooled(self, pooler: Pooler, texts: Sequence[str]) -> Tensor:
        """Return the vectors (n, D) of texts, row i from text i, of unit length."""
        some = [self._states[self._place[text]] for text in texts]
        x = torch.cat(some, dim=1).float()
        offsets = torch.tensor([0, *(one.shape[1] for one in some)], device=x.device).cumsum(0)
        return torch.nn.functional.normalize(pooler.forward_packed(x if self._layers else x[0], offsets), dim=1)
