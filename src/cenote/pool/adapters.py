"""Poolers made of poolers: side by side, mixed, followed by other modules, and over the layers of a model.

Each takes poolers as they are, as words, or as the configurations that `registry.config` gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cenote import registry
from cenote.pool.base import Empty, Pooler

Part = Pooler | str | Mapping[str, Any]


def made(part: Part) -> Pooler:
    """Return the pooler of a word or a configuration, adapters among them; a pooler as it is.

    Raises UnknownWord for a word of neither, ValueError for a configuration without one, TypeError for anything that
    is no pooler.
    """
    given = {"word": part} if isinstance(part, str) else part
    if isinstance(given, Mapping):
        if not isinstance(given.get("word"), str):
            raise ValueError(f"a configuration of a pooler needs the key `word`; given: {dict(given)}")
        arguments = {name: value for name, value in given.items() if name != "word"}
        given = registry.make(given["word"], ("pool", "adapter"), **arguments)
    if not isinstance(given, Pooler):
        raise TypeError(f"a pooler, its word or its configuration was expected, not {type(given).__name__}")
    return given


def _check_part(one: Pooler, where: str) -> None:
    if one.reads_layers or one.side:
        wanted = "several layers" if one.reads_layers else f"side input {sorted(one.side)[0]!r}"
        raise ValueError(f"{type(one).__name__} reads {wanted}; only poolers of tokens alone {where}")
    if one.empty != "zero":
        raise ValueError(f"empty='error' of {type(one).__name__} would not be heard; give it to the pooler around it")


class OfPoolers(Pooler):
    """Base of the poolers that hold several of the same tokens.

    Raises ValueError for no poolers, a word in the place of a list of them, poolers made for tokens of different
    widths, poolers that read more than tokens, and poolers with an `empty` of their own.
    """

    order = "ordered"
    scaling = "none"

    def __init__(self, poolers: Sequence[Part], *, empty: Empty = "zero") -> None:
        super().__init__(empty=empty)
        if isinstance(poolers, str | Mapping):
            raise ValueError(f"poolers must be a list of poolers, not {poolers!r} alone; put it into a list")
        if not poolers:
            raise ValueError("poolers must hold at least one pooler")
        self.parts = nn.ModuleList(made(part) for part in poolers)
        for one in self._all():
            _check_part(one, "stand together")
        widths = sorted({one.dim for one in self._all() if one.dim is not None})
        if len(widths) > 1:
            raise ValueError(f"poolers are made for tokens of widths {widths}; all read the same tokens")
        self.dim = widths[0] if widths else None

    @property
    def poolers(self) -> list[dict[str, Any]]:
        """The configurations of the parts."""
        return [registry.config(pooler) for pooler in self._all()]

    def _all(self) -> list[Pooler]:
        return [pooler for pooler in self.parts if isinstance(pooler, Pooler)]


class Concat(OfPoolers):
    """Several poolers of the same tokens, side by side: (B, N, D) -> (B, sum of their widths)."""

    def out_dim(self, dim: int) -> int:
        """Return the sum of the widths of the parts."""
        return sum(pooler.out_dim(dim) for pooler in self._all())

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Concatenate what each part makes of x."""
        return torch.cat([pooler.padded(x, mask) for pooler in self._all()], dim=-1)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Concatenate what each part makes of each segment."""
        return torch.cat([pooler.packed(x, offsets) for pooler in self._all()], dim=-1)


class Mix(OfPoolers):
    """A weighted sum of poolers of one width: y = sum_k s_k pool_k(x).

    shares: s, one a pooler; None learns them, s = softmax(logits), from equal shares on.

    Raises ValueError as `OfPoolers` does, and for shares that are not one a pooler.
    """

    def __init__(
        self, poolers: Sequence[Part], shares: Sequence[float] | None = None, *, empty: Empty = "zero"
    ) -> None:
        super().__init__(poolers, empty=empty)
        if shares is not None and len(shares) != len(self.parts):
            raise ValueError(f"shares has {len(shares)} numbers for {len(self.parts)} poolers; give one for each")
        self.shares = None if shares is None else [float(share) for share in shares]
        self.logits = nn.Parameter(torch.zeros(len(self.parts))) if shares is None else None

    def out_dim(self, dim: int) -> int:
        """Return the width of the parts; ValueError where they differ."""
        widths = {pooler.out_dim(dim) for pooler in self._all()}
        if len(widths) > 1:
            raise ValueError(f"poolers give widths {sorted(widths)}; only vectors of one width can be mixed")
        return widths.pop()

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Add up what each part makes of x."""
        self.out_dim(x.shape[-1])
        return self._mixed([pooler.padded(x, mask) for pooler in self._all()])

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Add up what each part makes of each segment."""
        self.out_dim(x.shape[-1])
        return self._mixed([pooler.packed(x, offsets) for pooler in self._all()])

    def _mixed(self, vectors: list[Tensor]) -> Tensor:
        stacked = torch.stack(vectors)
        shares = stacked.new_tensor(self.shares) if self.logits is None else self.logits.softmax(0)
        return torch.einsum("k,kbd->bd", shares, stacked)


class Chain(OfPoolers):
    """Poolers behind each other: each reads the vectors that the one before gives as its tokens.

    Only the first sees how many tokens a row has: `Chain(["kmax", "mean"])` is the mean of the k greatest values.

    Raises ValueError as `OfPoolers` does; when used, for a width that is no number of vectors of the width of the
    tokens.
    """

    def out_dim(self, dim: int) -> int:
        """Return the width of the last."""
        width = dim
        for pooler in self._all():
            if not dim or width % dim:
                raise ValueError(f"{type(pooler).__name__} is given width {width}, no number of vectors of width {dim}")
            width = pooler.out_dim(dim)
        return width

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool x, then what comes of it."""
        return self._behind(self._all()[0].padded(x, mask), x.shape[-1])

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Pool each segment, then what comes of it."""
        return self._behind(self._all()[0].packed(x, offsets), x.shape[-1])

    def _behind(self, out: Tensor, dim: int) -> Tensor:
        self.out_dim(dim)
        for pooler in self._all()[1:]:
            slots = out.view(out.shape[0], out.shape[-1] // dim, dim)
            out = pooler.padded(slots, torch.ones(slots.shape[:2], dtype=torch.bool, device=slots.device))
        return out


class OverLayers(Pooler):
    """The tokens of each layer are pooled, then the layers: (B, L, N, D) -> (B, width of `pooler`).

    pooler: over the layers. inner: over the tokens of each; None leaves them, and `pooler` reads all tokens of all
    layers, those of one place together. last: how many of the last layers are read; None reads all.

    Raises ValueError for last below 1 or above the layers there are, for poolers that read more than tokens, and for a
    `pooler` made for another width than `inner` gives.
    """

    reads = "all"
    order = "ordered"
    scaling = "none"

    def __init__(
        self, pooler: Part, inner: Part | None = "mean", *, last: int | None = None, empty: Empty = "zero"
    ) -> None:
        super().__init__(empty=empty)
        if last is not None and last < 1:
            raise ValueError(f"last must be at least 1 or None, not {last}")
        self.last, self.over, self.within = last, made(pooler), None if inner is None else made(inner)
        for one in filter(None, (self.over, self.within)):
            _check_part(one, "go over layers")
        self.dim = self.over.dim if self.within is None else self.within.dim

    @property
    def pooler(self) -> dict[str, Any]:
        """The configuration of the pooler over the layers."""
        return registry.config(self.over)

    @property
    def inner(self) -> dict[str, Any] | None:
        """The configuration of the pooler over the tokens."""
        return None if self.within is None else registry.config(self.within)

    def out_dim(self, dim: int) -> int:
        """Return the width of the pooler over the layers."""
        return self.over.out_dim(dim if self.within is None else self.within.out_dim(dim))

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool the tokens of each layer, then the layers."""
        x = self._last(x.transpose(0, 1)).transpose(0, 1)
        layers = x.shape[1]
        if self.within is None:
            return self.over.padded(x.transpose(1, 2).flatten(1, 2), mask.repeat_interleave(layers, 1))
        vectors = self.within.padded(x.flatten(0, 1), mask.repeat_interleave(layers, 0))
        return self._over(vectors.view(mask.shape[0], layers, vectors.shape[-1]))

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Pool the segments of each layer, then the layers."""
        x = self._last(x)
        if self.within is None:
            return self.over.packed(x.transpose(0, 1).flatten(0, 1), offsets * len(x))
        return self._over(torch.stack([self.within.packed(layer, offsets) for layer in x], dim=1))

    def _last(self, x: Tensor) -> Tensor:
        """Return the layers that are read, of layers in front."""
        if self.last is not None and self.last > len(x):
            raise ValueError(f"last is {self.last}, but x has {len(x)} layers")
        return x if self.last is None else x[-self.last :]

    def _over(self, vectors: Tensor) -> Tensor:
        self.over._check_width(vectors)
        return self.over.padded(vectors, torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device))
