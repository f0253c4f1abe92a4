"""What this machine computes with: printed beside every measurement, as speeds mean nothing without it."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from cenote.kernels.threads import count

_TOLD_APART = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "i8mm", "bf16")
_ANOTHER_PROCESSOR = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX", "ATEN_CPU_CAPABILITY")
"""What makes numba or torch compute for another processor than this one."""


@cache
def described() -> dict[str, str]:
    """Return the processor, the instructions that decide here, the threads and the versions of what computes."""
    import numba
    import torch

    from cenote.kernels import simd

    model, flags = _processor()
    return {
        "cpu": model,
        "instructions": " ".join(flag for flag in _TOLD_APART if flag in flags) or "unknown",
        "scans": simd.instructions(),
        "threads": str(count()),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
        "numba": numba.__version__,
    }


@cache
def vector_lanes(dtype: str) -> int:
    """Return how many floats a register of compiled kernels holds, 16 or 8; 0 where they do not compute a type.

    dtype: "float32", or "bfloat16", which takes products of bf16 pairs.
    """
    import torch

    if any(os.environ.get(name) for name in _ANOTHER_PROCESSOR):
        return 0
    lanes = {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 0)
    if dtype == "bfloat16":
        return lanes if lanes == 16 and torch.cpu._is_avx512_bf16_supported() else 0
    return lanes if dtype == "float32" else 0


def _processor() -> tuple[str, frozenset[str]]:
    """The name of the processor and what it can do, as far as the system says."""
    found: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip().lower(), value.strip())
    except OSError:
        pass  # other systems have no such file
    flags = frozenset((found.get("flags") or found.get("features") or "").split())
    return found.get("model name") or platform.processor() or platform.machine(), flags
