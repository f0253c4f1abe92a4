"""Runs: a trained pooler on disk, as recipes name it: `minilm | simpool@runs/x`.

runs/x/run.json             the pooler's configuration, the encoder it was trained on, and how
runs/x/model.safetensors    its weights
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cenote import registry
from cenote.compress.base import Fitted
from cenote.encode.whole import whole
from cenote.errors import CorruptIndex
from cenote.pool.base import Pooler

DESCRIPTION, WEIGHTS = "run.json", "model.safetensors"


class Run(Fitted):
    """A pooler with its weights, and what is told of it: `config` (of the pooler), `encoder` (reference and sha256)."""

    def __init__(self, told: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> None:
        self.told, self._weights = dict(told), dict(weights)

    @classmethod
    def of(cls, pooler: Pooler, **told: Any) -> Run:
        """Return the run of a pooler that was trained."""
        weights = {name: weight.detach().cpu().float().numpy() for name, weight in pooler.state_dict().items()}
        return cls({"config": registry.config(pooler)} | told, weights)

    @property
    def word(self) -> str:
        """The word of the pooler."""
        return str(self.told["config"]["word"])

    def pooler(self) -> Pooler:
        """Return the pooler with its weights.

        Raises ValueError where the weights are not those of such a pooler.
        """
        made = registry.build(self.told["config"])
        if not isinstance(made, Pooler):
            raise ValueError(f"the run is of {self.word}, which is no pooler")
        state = {name: torch.from_numpy(np.array(weight)) for name, weight in self._weights.items()}
        try:
            made.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"the weights of the run do not fit {self.word}: {error}") from None
        return made.eval()

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the weights by name."""
        return dict(self._weights)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` returned."""
        self._weights = dict(state)

    def save(self, folder: str | Path) -> None:
        """Write the run into a folder that does not exist yet.

        Raises ValueError where it does.
        """
        from safetensors.numpy import save_file

        folder = Path(folder)
        if folder.exists():
            raise ValueError(f"{folder} exists; name a place that does not")
        with whole(folder) as half:
            save_file({name: np.ascontiguousarray(one) for name, one in self._weights.items()}, half / WEIGHTS)
            (half / DESCRIPTION).write_text(json.dumps(self.told, indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read what `save` wrote.

        Raises ValueError where there is no run, CorruptIndex where a file of it is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        if not (folder / DESCRIPTION).is_file():
            raise ValueError(f"{folder} holds no run; train one with `cenote train` or `cenote compare --train`")
        try:
            told = json.loads((folder / DESCRIPTION).read_text())
            registry.find(told["config"]["word"], ("pool",))
            assert told["encoder"]["sha256"]
        except (ValueError, KeyError, TypeError, AssertionError):
            raise CorruptIndex(folder / DESCRIPTION, "it is no description of a run") from None
        try:
            return cls(told, load_file(folder / WEIGHTS))
        except (OSError, SafetensorError) as error:
            raise CorruptIndex(folder / WEIGHTS, f"it cannot be read: {error}") from None
