"""The weights of a model folder, each taken by its name in one type to one device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cenote.encode.norm import Norm, RootNorm
from cenote.encode.products import Product

_ONE, _SEVERAL = "model.safetensors", "model.safetensors.index.json"


def complete(folder: Path) -> bool:
    """Whether a folder holds safetensors weights in one file, or all files that its index names."""
    files = _files(folder)
    return bool(files) and all(file.is_file() for file in files)


def _files(folder: Path) -> list[Path]:
    if (folder / _ONE).is_file() or not (folder / _SEVERAL).is_file():
        return [folder / _ONE]
    named = json.loads((folder / _SEVERAL).read_text(encoding="utf-8"))["weight_map"]
    return [folder / name for name in sorted(set(named.values()))]


class Weights:
    """The tensors of a folder. prefixes: what may stand before every name; the first under which `probe` is found does.

    Raises ValueError where it is found under none.
    """

    def __init__(
        self, folder: Path, device: torch.device, dtype: torch.dtype, prefixes: Sequence[str], probe: str
    ) -> None:
        from safetensors.torch import load_file

        self.device, self.dtype = device, dtype
        self._held = {name: tensor for file in _files(folder) for name, tensor in load_file(file).items()}
        prefix = next((prefix for prefix in prefixes if prefix + probe in self._held), None)
        if prefix is None:
            raise ValueError(f"{folder} holds no weights {probe}; save the model as transformers does")
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._held

    def take(self, name: str) -> Tensor:
        """Return a tensor."""
        tensor: Tensor = self._held[self._prefix + name]
        return tensor.to(device=self.device, dtype=self.dtype)

    def table(self, name: str) -> Tensor:
        """Return a table whose rows are looked up: on a CPU it stays in its file, and only those rows are read."""
        table: Tensor = self._held[self._prefix + name]
        return table if self.device.type == "cpu" else table.to(self.device, self.dtype)

    def product(self, *names: str, activation: str | None = None) -> Product:
        """Return the product with the matrices of these names, one below the other, and their biases if any."""
        matrices = [self.take(f"{name}.weight") for name in names]
        biases = [self.take(f"{name}.bias") for name in names if f"{name}.bias" in self]
        matrix = torch.cat(matrices) if matrices[1:] else matrices[0]
        return Product(matrix, torch.cat(biases) if biases else None, activation)

    def halves(self, name: str, activation: str) -> tuple[Product, Product]:
        """Return the products with the upper and the lower half of a matrix; the activation follows the first."""
        matrices = self.take(f"{name}.weight").chunk(2)
        biases = self.take(f"{name}.bias").chunk(2) if f"{name}.bias" in self else (None, None)
        return Product(matrices[0], biases[0], activation), Product(matrices[1], biases[1])

    def norm(self, name: str, eps: float) -> Norm:
        """Return a norm of tokens, with its bias if it has one."""
        return Norm(self.take(f"{name}.weight"), self.take(f"{name}.bias") if f"{name}.bias" in self else None, eps)

    def root_norm(self, name: str, eps: float, *, above: float = 0.0) -> RootNorm:
        """Return a norm by the root mean square; `above` is what its weights are kept less."""
        return RootNorm(self.take(f"{name}.weight").float() + above, eps)
