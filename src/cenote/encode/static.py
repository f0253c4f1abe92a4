"""Static tables: a token's state is its row of a table, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor


class StaticTable:
    """The one matrix (V, D) of a safetensors file, in fp32 on one device. It has layer 0 only.

    Beside a matrix called `embeddings` a file may say which of its rows each token has (`mapping`) and how much it
    counts (`weights`), as model2vec does.

    Raises ValueError for a file with another number of tensors.
    """

    depth = 0
    computed_by = "rows of a table"
    concurrent = False

    def __init__(self, weights: Path, device: torch.device) -> None:
        from safetensors.torch import load_file

        tensors = load_file(weights)
        rows, shares = (tensors.pop(name, None) if "embeddings" in tensors else None for name in ("mapping", "weights"))
        if len(tensors) != 1:
            raise ValueError(f"{weights} holds {len(tensors)} tensors where one table was expected")
        self.device = device
        table = next(iter(tensors.values()))
        table = table if rows is None else table[rows.long()]
        table = table.to(device=device, dtype=torch.float32)
        self.table = table if shares is None else table * shares.to(table)[:, None]
        self.dim = self.table.shape[1]

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {0: (M, D)} for ids (M,); a number beyond the table reads its last row."""
        return {0: self.table[ids.clamp(0, len(self.table) - 1)]}
