"""What this machine's cores can multiply: the products of a scan, with nothing to read, to store or to compare.

Twelve sums stay in registers, and each product is one that the scan's own form of codes is made of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cenote.kernels import forms, simd, threads
from cenote.kernels.compiled import compiled

_SUMS, _TURNS = 12, 4_000_000


@intrinsic
def _spin(context: Any, form: Any, turns: Any) -> Any:
    """_spin(form, turns): so many times twelve products, of which nothing is kept but one number."""
    if not isinstance(form, types.IntegerLiteral):
        return None
    of = form.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = simd.floats() if forms.is_float(of) else simd.ints()
        query = ir.Constant(kind, [1] * simd.lanes())
        begun = [ir.Constant(kind, [1 + n] * simd.lanes()) for n in range(_SUMS)]

        def step(i: Any, sums: Any) -> list[Any]:
            # a sum is the next one's row: a product of constants would be computed once
            return [forms.lane_added(builder, of, sums[n], sums[n - 1], query) for n in range(_SUMS)]

        ended = simd.repeat(builder, args[1], begun, step)
        total = ended[0]
        for one in ended[1:]:
            total = (builder.fadd if forms.is_float(of) else builder.add)(total, one)
        first = builder.extract_element(total, ir.IntType(32)(0))
        return builder.bitcast(first, simd.I32)

    return types.int32(form, types.int64), generate


@cache
def _spinning(form: int) -> Callable[[int], int]:
    @compiled
    def run(turns: int) -> int:
        return _spin(form, turns)  # type: ignore[no-any-return]

    return run  # type: ignore[no-any-return]


def products_a_second(codec: str) -> float:
    """Return how many products of two numbers of a codec, float32 or int8, all threads add up in a second."""
    run = _spinning({"float32": forms.FLOAT32, "int8": forms.INT8}[codec])
    a_lane = 1 if codec == "float32" else 4 if simd.has_vnni() else 2
    run(1)

    def share(numbers: Iterator[int]) -> int:
        return sum(run(_TURNS) for _ in numbers)

    pieces = 2 * threads.count()
    start = time.perf_counter()
    threads.shared(share, pieces)
    return pieces * _TURNS * _SUMS * simd.lanes() * a_lane / (time.perf_counter() - start)
