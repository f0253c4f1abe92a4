"""Bits and numbers from numba: which bytes are set, the lowest bit, and a float32 as the bits it is made of."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I1, _I32, _I64 = (ir.IntType(bits) for bits in (1, 32, 64))
_FLOAT, _BYTES = ir.FloatType(), ir.VectorType(ir.IntType(8), 64)


@intrinsic
def marks(context: Any, address: Any) -> Any:
    """marks(address): bit i says that byte i of the 64 there is not 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = builder.load(builder.inttoptr(args[0], _BYTES.as_pointer()))
        loaded.align = 1
        there = builder.icmp_unsigned("!=", loaded, ir.Constant(_BYTES, [0] * 64))
        return builder.bitcast(there, _I64)

    return types.uint64(types.intp), generate


@intrinsic
def lowest(context: Any, bits: Any) -> Any:
    """lowest(bits): the number of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], _I1(1))

    return types.int64(types.uint64), generate


@intrinsic
def bits_of(context: Any, number: Any) -> Any:
    """bits_of(number): the bits of a float32, as uint32."""
    return types.uint32(types.float32), lambda context, builder, signature, args: builder.bitcast(args[0], _I32)


@intrinsic
def float_of(context: Any, bits: Any) -> Any:
    """float_of(bits): the float32 that has these bits."""
    return types.float32(types.uint32), lambda context, builder, signature, args: builder.bitcast(args[0], _FLOAT)
