"""The protocol of a pooler: the tokens of each row become one vector, and padding never changes it.

    forward(x (B, N, D), mask (B, N)) -> (B, D_out)            padded
    forward_packed(x (M, D), offsets (B + 1)) -> (B, D_out)    packed: row i is x[offsets[i]:offsets[i + 1]]

A pooler that reads several layers has them in front of the tokens: x (B, L, N, D), packed (L, M, D). Both give the same
answer. Half types are reduced in fp32 and cast back, and autocast, which would make products half again, is off inside.
A row with no kept token gives zeros.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from cenote.kernels.segments import at_hand, rows_without_tokens, wide, zeroed
from cenote.kernels.windowed import Window

Empty = Literal["zero", "error"]


class Pooler(nn.Module):
    """Base of the poolers; a subclass is its two equations, `padded` and `packed`.

    What `side` names arrives there as keyword arguments. Neither need think of empty rows, except that they must not
    fail or spoil a gradient.

    empty: what a row with no kept token gives: zeros, or a ValueError.
    """

    reads: str | tuple[int, ...] = "last"
    """Which layers x holds: "last", "all" (1..L), or indices; with several, x is (B, L, N, D) or (L, M, D)."""
    side: ClassVar[frozenset[str]] = frozenset()
    """Inputs beside x that `forward` needs in its argument `side`.

    One with a value a token is (B, N, …) padded and (M, …) packed, one with a value a row (B, …) in both.
    """
    order: Literal["invariant", "ordered"] = "invariant"
    scaling: Literal["mean", "sum", "max", "none"] = "mean"
    """What repeating every token does: nothing, adds up, nothing, or something else."""
    dim: int | None = None
    """Width of the tokens that the weights are made for; None takes any."""

    def __init__(self, *, empty: Empty = "zero") -> None:
        super().__init__()
        if empty not in ("zero", "error"):
            raise ValueError(f"empty must be zero or error, not {empty!r}")
        self.empty = empty

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Pooler:
        # half tokens are reduced in fp32, so the weights of a model made half stay there
        def at_least_fp32(weight: Tensor) -> Tensor:
            moved = fn(weight)
            return moved if wide(moved) is moved else weight.to(moved.device)

        super()._apply(at_least_fp32, recurse)  # type: ignore[no-untyped-call]
        return self

    def out_dim(self, dim: int) -> int:
        """Return the width of the result for tokens of width `dim`."""
        return dim

    @abstractmethod
    def padded(self, x: Tensor, mask: Tensor, *args: Any, **side: Any) -> Tensor:
        """Pool x (B, N, D), at least fp32, over the tokens that mask (B, N) keeps; what it leaves out may be NaN."""

    @abstractmethod
    def packed(self, x: Tensor, offsets: Tensor, *args: Any, **side: Any) -> Tensor:
        """Pool x (M, D), at least fp32, segment by segment."""

    def in_windows(self, planes: Tensor, window: Window, out_size: tuple[int, ...]) -> Tensor | None:
        """Return the windows of float32 planes (P, H, W) pooled (P, *out_size), where no cells need be laid out for it.

        See `kernels.windowed` for what a window is; None of a pooler whose windows are rows of tokens to it.
        """
        return None

    def weights(self, x: Tensor, mask: Tensor, *args: Any, **side: Any) -> Tensor:
        """Return (B, N), or (B, H, N) of several heads: how much each token counts, zero where the mask leaves it out.

        Raises ValueError for a pooler whose weights differ by channel.
        """
        raise ValueError(f"{type(self).__name__} has no one weight a token; ask it without return_weights")

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        side: Mapping[str, Any] | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Pool x (B, N, D) over the tokens that mask (B, N; True keeps) keeps; all of them without one.

        Raises TypeError for what is no tensor, x that is not floating or a mask neither bool nor integers, ValueError
        for integers other than 0 and 1, shapes that do not belong together, a width the weights are not made for, side
        inputs that are missing or unknown, and a row with no kept token under empty="error".
        """
        whole = mask is None
        mask = checked_mask(x, mask, layers=self.reads_layers)
        given = self._checked_side(side)
        self._check_width(x)
        empty = None if whole and mask.shape[1] else self._checked_empty(rows_without_tokens(mask))
        with _without_autocast(x):
            # a bias or a latent would give a row without tokens a vector
            out = zeroed(self.padded(wide(x), mask, **given), empty).to(x.dtype)
            return (out, self.weights(wide(x), mask, **given)) if return_weights else out

    def forward_packed(self, x: Tensor, offsets: Tensor, *, side: Mapping[str, Any] | None = None) -> Tensor:
        """Pool x (M, D) with offsets (B + 1), integers from 0 to M.

        Raises TypeError for what is no tensor, x that is not floating or offsets that are not integers, ValueError for
        offsets that fall or do not cover x, for width and side inputs as `forward` does, and for an empty row under
        empty="error".
        """
        offsets, empty = checked_offsets(x, offsets, layers=self.reads_layers)
        given = self._checked_side(side)
        self._check_width(x)
        self._checked_empty(empty)
        with _without_autocast(x):
            return zeroed(self.packed(wide(x), offsets, **given), empty).to(x.dtype)

    @property
    def reads_layers(self) -> bool:
        """Whether x holds several layers."""
        return self.reads == "all" or isinstance(self.reads, tuple)

    def _checked_side(self, side: Mapping[str, Any] | None) -> Mapping[str, Any]:
        given = side or {}
        if missing := sorted(self.side - given.keys()):
            raise ValueError(f"{type(self).__name__} needs side={{{missing[0]!r}: …}} beside the tokens")
        if unknown := sorted(given.keys() - self.side):
            raise ValueError(f"{type(self).__name__} takes no side input {unknown[0]!r}")
        return given

    def _check_width(self, x: Tensor) -> None:
        if self.dim is not None and x.shape[-1] != self.dim:
            kind = type(self).__name__
            raise ValueError(f"x holds tokens of width {x.shape[-1]} but this {kind} was made with dim={self.dim}")

    def _checked_empty(self, empty: Tensor | None) -> Tensor | None:
        if self.empty == "error" and empty is not None and not torch.compiler.is_compiling() and bool(empty.any()):
            rows = torch.nonzero(empty).flatten().tolist()
            raise ValueError(f"rows {rows} have no kept token; drop them or make the pooler with empty='zero'")
        return empty


def checked_mask(x: Tensor, mask: Tensor | None, *, layers: bool = False) -> Tensor:
    """Return the mask as bool (B, N), all True for None; see `Pooler.forward` for what is refused."""
    _check_tensors(x=x, mask=mask)
    if not x.is_floating_point():
        raise TypeError(f"x must hold floats, not {x.dtype}")
    if layers and x.ndim != 4:
        shape = f"(rows, layers, tokens, width), not {tuple(x.shape)}"
        raise ValueError(f"x must have shape {shape}; ask the model for all its layers (output_hidden_states=True)")
    if not layers and x.ndim == 4:
        raise ValueError(f"x has four axes {tuple(x.shape)}; pool layers with over_layers, pictures with over_space")
    if not layers and x.ndim != 3:
        raise ValueError(f"x must have shape (rows, tokens, width), not {tuple(x.shape)}")
    rows, tokens = x.shape[0], x.shape[-2]
    if mask is None:
        return torch.ones(rows, tokens, dtype=torch.bool, device=x.device)
    if mask.is_floating_point() or mask.is_complex():
        raise TypeError(f"mask must be bool or integers 0 and 1, not {mask.dtype}")
    if mask.shape != (rows, tokens):
        given = f"mask has shape {tuple(mask.shape)} but x has {rows} rows of {tokens} tokens"
        raise ValueError(f"{given}; pass one boolean for each token")
    kept = mask.bool()
    if mask.dtype != torch.bool and not torch.compiler.is_compiling() and not torch.equal(kept.to(mask.dtype), mask):
        raise ValueError(f"mask must be bool or integers 0 and 1; it reaches from {mask.min()} to {mask.max()}")
    return kept


def checked_offsets(x: Tensor, offsets: Tensor, *, layers: bool = False) -> tuple[Tensor, Tensor | None]:
    """Return the offsets as int64, and which rows are empty, bool (B,), None where none is.

    See `Pooler.forward_packed` for what is refused: what reads by them trusts them.
    """
    _check_tensors(x=x, offsets=offsets)
    if not x.is_floating_point():
        raise TypeError(f"x must hold floats, not {x.dtype}")
    if x.ndim != 2 + layers:
        raise ValueError(f"x must have shape ({'layers, ' * layers}tokens, width), not {tuple(x.shape)}")
    if offsets.is_floating_point() or offsets.is_complex() or offsets.dtype == torch.bool:
        raise TypeError(f"offsets must be integers, not {offsets.dtype}")
    if offsets.ndim != 1 or not len(offsets):
        raise ValueError(f"offsets must have shape (rows + 1,), not {tuple(offsets.shape)}")
    offsets = offsets.long()
    if torch.compiler.is_compiling():
        return offsets, offsets.diff() == 0
    tokens = x.shape[-2]
    if at_hand(offsets):
        bounds = offsets.numpy()
        lengths = bounds[1:] - bounds[:-1]
        # a length above all tokens: bounds so far apart that their difference came round to above 0
        least, most = (lengths.min(), lengths.max()) if len(lengths) else (0, 0)
        if bounds[0] == 0 and bounds[-1] == tokens and least >= 0 and most <= tokens:
            return offsets, None if least else torch.from_numpy(lengths == 0)
    else:
        lengths = offsets.diff()
        within = ((lengths >= 0) & (lengths <= tokens)).all()
        if bool((offsets[0] == 0) & (offsets[-1] == tokens) & within):  # one question to the device
            return offsets, lengths == 0
    if offsets[0] != 0 or offsets[-1] != tokens:
        raise ValueError(f"offsets run from {int(offsets[0])} to {int(offsets[-1])}; x has {tokens} tokens")
    raise ValueError("offsets fall; each row must start where the one before it ends")


def _check_tensors(**given: Tensor | None) -> None:
    for name, one in given.items():
        if one is not None and not isinstance(one, Tensor):
            raise TypeError(f"{name} must be a torch tensor, not {type(one).__name__}; torch.as_tensor makes one")


def _without_autocast(x: Tensor) -> AbstractContextManager[None]:
    """Return a context in which the products of fp32 tokens stay fp32."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
