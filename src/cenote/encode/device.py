"""Where a model is computed, and in which type."""

from __future__ import annotations

import torch


def usable(asked: str | None) -> torch.device:
    """Return the device that was asked for, the accelerator where there is one for None.

    Raises ValueError for a device that is unknown or not there.
    """
    try:
        device = torch.device(asked or _best())
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"device {asked!r} cannot be used here ({reason}); cpu always can") from None
    return device


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolved(dtype: str, device: torch.device) -> str:
    """Return the type that `auto` means on a device: bf16 where it is multiplied natively, else fp32."""
    if dtype != "auto":
        return dtype
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if device.type == "cpu" and native else "fp32"
