"""Modules on pooled vectors: computed by sentence-transformers' own, opened from safetensors alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cenote.encode.layout import Named


class Head(nn.Module):
    """A module of sentence-transformers, of vectors (B, D) in the place of its dictionaries."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D')."""
        out: Tensor = self.module({"sentence_embedding": x})["sentence_embedding"]
        return out


class Unit(nn.Module):
    """Vectors (B, D) of length 1; zeros stay zeros."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D)."""
        return nn.functional.normalize(x, dim=1)


class First(nn.Module):
    """The first dimensions of vectors (B, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, dim)."""
        return x[:, : self.dim]


def loaded(folder: Path, named: Named, device: torch.device) -> Any:
    """Return a module of sentence-transformers with its weights.

    Raises ValueError for weights that are not in safetensors.
    """
    from sentence_transformers.sentence_transformer import modules

    place = named.place
    if place is None:
        raise ValueError(f"{folder} names a {named.kind} without a folder for it")
    if named.kind != "Normalize" and not (place / "model.safetensors").is_file():
        raise ValueError(f"{place} holds no model.safetensors; save the model in that format first")
    kind = getattr(modules, named.kind)
    return (
        kind.load(str(folder), subfolder=place.relative_to(folder).as_posix(), local_files_only=True).to(device).eval()
    )


def head_of(folder: Path, named: Named, device: torch.device) -> tuple[Head, int]:
    """Return what a Dense or a LayerNorm makes of vectors, and the width it gives.

    Raises ValueError for one that does not read and write the pooled vectors.
    """
    if named.reads != "sentence_embedding" or named.writes != named.reads:
        raise ValueError(
            f"{named.place} reads or writes other than sentence_embedding; heads on pooled vectors are known"
        )
    module = loaded(folder, named, device)
    return Head(module), int(module.get_embedding_dimension())
