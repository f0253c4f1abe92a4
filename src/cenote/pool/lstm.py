"""LSTM: the state of a recurrent network that has read the whole row.

    h_n, c_n = cell(x_n, h_(n-1), c_(n-1))        y = h_N

With bidirectional=True a second network reads from the end, and its state after the first token stands beside. N is the
number of kept tokens, wherever they lie.

The pooling of Dadas, "Training effective neural sentence encoders from automatically mined paraphrases" (2207.12759),
there with hidden=2048; the mining is in `cenote.pool.paraphrases`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cenote.kernels.segments import segment_ids
from cenote.pool.base import Empty, Pooler


class LSTM(Pooler):
    """(B, N, D) -> (B, hidden), twice that in both directions.

    dim: D. hidden: width of the state. bidirectional: whether a second network reads from the end.
    """

    order = "ordered"
    scaling = "none"

    def __init__(self, dim: int, hidden: int, *, bidirectional: bool = False, empty: Empty = "zero") -> None:
        """Raise ValueError for a hidden width below 1."""
        super().__init__(empty=empty)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, not {hidden}")
        self.dim, self.hidden, self.bidirectional = dim, hidden, bidirectional
        self.cells = nn.ModuleList(nn.LSTMCell(dim, hidden) for _ in range(1 + bidirectional))

    def out_dim(self, dim: int) -> int:
        """Return the hidden width, twice in both directions."""
        return self.hidden * len(self.cells)

    def _weights(self, direction: int) -> list[Tensor]:
        cell: Any = self.cells[direction]  # its weights by name: a replica of DataParallel lists none
        return [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the states at the last kept token, and at the first one of the network that reads from the end."""
        x = x.masked_fill(~mask[:, :, None], 0)
        if not x.numel():
            return x.new_zeros(x.shape[0], self.out_dim(x.shape[-1]))
        # the kept tokens to the front, in their order or backwards: what stands behind them changes no state before
        places = torch.arange(mask.shape[1], device=x.device)
        ranks = [torch.where(mask, rank, mask.shape[1]) for rank in (places, -places)][: len(self.cells)]
        last = (mask.sum(1) - 1).clamp(min=0)[:, None, None]
        states = []
        for direction, rank in enumerate(ranks):
            ordered = x.gather(1, rank.argsort(dim=1, stable=True)[:, :, None].expand_as(x))
            start = x.new_zeros(1, x.shape[0], self.hidden)
            all_states = torch.lstm(
                ordered, (start, start), self._weights(direction), True, 1, 0.0, self.training, False, True
            )[0]
            states.append(all_states.gather(1, last.expand(-1, 1, self.hidden))[:, 0])
        return torch.cat(states, 1)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the same of each segment; each step of the network is computed for the rows that reach it."""
        lengths, rows = offsets.diff(), segment_ids(offsets)
        out = x.new_zeros(len(lengths), self.out_dim(x.shape[-1]))
        if not len(x):
            return out
        order = lengths.argsort(descending=True, stable=True)
        order = order[lengths[order] > 0]
        rank = torch.empty_like(lengths).scatter_(0, order, torch.arange(len(order), device=x.device))
        places = torch.arange(len(x), device=x.device) - offsets[:-1][rows]
        steps = (places * len(lengths) + rank[rows]).argsort()
        start = x.new_zeros(len(self.cells), len(order), self.hidden)
        weights = [weight for direction in range(len(self.cells)) for weight in self._weights(direction)]
        _, last, _ = torch.lstm(
            x[steps], places.bincount().cpu(), (start, start), weights, True, 1, 0.0, self.training, self.bidirectional
        )
        return out.index_copy(0, order, torch.cat(last.unbind(0), 1))
