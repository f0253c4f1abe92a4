"""OverSpace: a pooler of tokens over the cells of a feature map.

x (B, C, H, W) -> tokens (B, H W, C), row by row -> (B, D)
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cenote import registry
from cenote.pool.adapters import Part, made


class OverSpace(nn.Module):
    """(B, C, *S) -> (B, width of the pooler), for maps of any number of axes S.

    pooler: a pooler, its word or its configuration.
    """

    def __init__(self, pooler: Part) -> None:
        super().__init__()
        self.over = made(pooler)

    @property
    def pooler(self) -> dict[str, Any]:
        """The configuration of the pooler."""
        return registry.config(self.over)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Pool x (B, C, *S) over the cells that mask (B, *S; True keeps) keeps; all of them without one.

        return_weights gives the maps of the weights too, (B, *S) or (B, H, *S) of several heads.

        Raises ValueError for x without axes of space, a mask of another shape, and what the pooler raises.
        """
        if x.ndim < 3:
            raise ValueError(f"x must have shape (rows, channels, height, width), not {tuple(x.shape)}")
        rows, space = x.shape[0], x.shape[2:]
        if mask is not None and mask.shape != (rows, *space):
            given = f"mask has shape {tuple(mask.shape)} but x has {rows} maps of {tuple(space)} cells"
            raise ValueError(f"{given}; pass one boolean for each cell")
        tokens, kept = x.flatten(2).transpose(1, 2), None if mask is None else mask.flatten(1)
        if not return_weights:
            out: Tensor = self.over(tokens, kept)
            return out
        out, weights = self.over(tokens, kept, return_weights=True)
        return out, weights.view(*weights.shape[:-1], *space)
