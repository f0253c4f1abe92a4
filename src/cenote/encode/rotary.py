"""Rotary positions of packed tokens: queries and keys are turned by angles that grow with the token's place.

    angle_i(n) = n theta^(-2 i / d)      n counted from each row's first token

Su et al., "RoFormer" (2104.09864). Angles are kept in fp32, whatever is computed with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cenote.arrays import Int64
from cenote.encode.attention import FEW
from cenote.kernels import threads


def theta_of(told: dict[str, Any] | None, theta: float) -> float | None:
    """Return the base that a model's rope settings name, `theta` where they name none; None where angles are scaled."""
    told = told or {}
    kind = told.get("rope_type", told.get("type", "default"))
    plain = kind == "default" and set(told) <= {"rope_type", "type", "rope_theta"}
    return float(told.get("rope_theta", theta)) if plain else None


def thetas_of(config: dict[str, Any], kinds: dict[str, tuple[str, float]]) -> dict[str, float] | None:
    """Return the base of each kind of layer of a config.json; None where one's angles are scaled.

    kinds: of each, the setting in which older folders say it, and what it is where nothing does.
    """
    told = config.get("rope_parameters") or {}
    found = {kind: theta_of(told.get(kind), config.get(older, theta)) for kind, (older, theta) in kinds.items()}
    known = {kind: theta for kind, theta in found.items() if theta is not None}
    return known if len(known) == len(kinds) else None


class Rotary:
    """Turns the first `heads` heads of width d of a packed matrix."""

    def __init__(self, theta: float, width: int, heads: int, device: torch.device) -> None:
        self._rates = theta ** -(torch.arange(0, width, 2, dtype=torch.float32) / width)
        self._heads, self._device = heads, device

    def over(self, offsets: Int64) -> Callable[[Tensor], Tensor]:
        """Return the function x (M, W) -> x, turned in place, for rows with these borders, int64 (B + 1)."""
        lengths = np.diff(offsets)
        places = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        angles = torch.arange(int(lengths.max(initial=0)))[:, None].float() * self._rates
        cos, sin = angles.cos(), angles.sin()
        if self._device.type == "cpu" and len(places) >= FEW:
            return lambda x: self._compiled(x, places, cos, sin)
        at = torch.from_numpy(places)
        here = cos[at].to(self._device)[:, None], sin[at].to(self._device)[:, None]
        return lambda x: self._plain(x, *here)

    def _plain(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        turned = x[:, : 2 * cos.shape[2] * self._heads].view(len(x), self._heads, 2, -1)
        a, b = turned.float().unbind(2)
        turned.copy_(torch.stack([a * cos - b * sin, b * cos + a * sin], 2))
        return x

    def _compiled(self, x: Tensor, places: Int64, cos: Tensor, sin: Tensor) -> Tensor:
        from cenote.kernels.rotary import rotate

        y = x.view(torch.uint16 if x.dtype == torch.bfloat16 else x.dtype).numpy()

        def run(start: int, stop: int) -> None:
            rotate(y[start:stop], places[start:stop], cos.numpy(), sin.numpy(), self._heads)

        threads.over_ranges(run, len(y), least=FEW)
        return x
