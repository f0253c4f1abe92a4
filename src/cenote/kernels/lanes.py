"""Lanes: the vector instructions that kernels are made of, where plain loops do not become them.

A vector has as many lanes of 32 bits as a register of this machine: floats, whole numbers, or pairs of bf16. A kernel
that uses these keeps its sums in registers, because every value here is one; an array, however small, would live in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.polynomial import Chebyshev, Polynomial

from cenote.kernels.machine import vector_lanes

LANES = vector_lanes("float32") or 8
"""16 with AVX-512, 8 with AVX2."""
I32, F32, _POINTER = ir.IntType(32), ir.FloatType(), ir.PointerType()
INTS, FLOATS = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
HALF, PAIRS = ir.VectorType(ir.IntType(16), LANES), ir.VectorType(ir.IntType(16), 2 * LANES)
WORD = ir.IntType(64)

EXP2 = {
    halves: Chebyshev.interpolate(np.exp2, degree, domain=(-0.5, 0.5)).convert(kind=Polynomial).coef[::-1].tolist()
    for halves, degree in ((True, 3), (False, 6))
}
"""2^x for |x| <= 1/2, highest power first, to 1e-4 where weights are rounded to bf16, which is 2^-9, else to 1e-8."""

Builder = Any
Value = Any


def load(builder: Builder, address: Value, kind: ir.Type) -> Value:
    """Return what is stored at an address."""
    return builder.load(builder.inttoptr(address, _POINTER), typ=kind, align=4)


def store(builder: Builder, value: Value, address: Value) -> None:
    """Store a value at an address."""
    builder.store(value, builder.inttoptr(address, _POINTER), align=4)


def plus(builder: Builder, address: Value, steps: int) -> Value:
    """Return an address some bytes further."""
    return builder.add(address, WORD(steps))


def spread(builder: Builder, value: Value, kind: ir.VectorType) -> Value:
    """Return a vector that holds one number in every lane."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, I32(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


def same(number: float) -> Value:
    """Return a vector of one constant."""
    return ir.Constant(FLOATS, [number] * LANES)


def call(builder: Builder, name: str, result: ir.Type, *values: Value, fast: Sequence[str] = ()) -> Value:
    """Return what an intrinsic function of LLVM gives; `*` in its name stands for the kind of a vector of floats."""
    name = name.replace("*", f"v{LANES}f32")
    kind = ir.FunctionType(result, [value.type for value in values])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, values, fastmath=fast)


def loop(
    builder: Builder, times: Value, begun: Sequence[Value], body: Callable[[Value, list[Value]], list[Value]]
) -> list[Value]:
    """Return what `body(i, values)` makes of the values, i from 0 up to `times`; the values live in registers."""
    before = builder.block
    inside, behind = builder.append_basic_block(), builder.append_basic_block()
    builder.cbranch(builder.icmp_signed(">", times, WORD(0)), inside, behind)
    builder.position_at_end(inside)
    i = builder.phi(WORD)
    values = [builder.phi(value.type) for value in begun]
    found = body(i, values)
    following, end = builder.add(i, WORD(1)), builder.block
    i.add_incoming(WORD(0), before)
    i.add_incoming(following, end)
    for phi, start, value in zip(values, begun, found, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, end)
    builder.cbranch(builder.icmp_signed("<", following, times), inside, behind)
    builder.position_at_end(behind)
    results = [builder.phi(value.type) for value in begun]
    for phi, start, value in zip(results, begun, found, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, end)
    return results


def mixed(builder: Builder, a: Value, b: Value, order: list[int]) -> Value:
    """Return the lanes of a and, numbered on, of b in an order."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(order)), order))


def accumulated(builder: Builder, total: Value, a: Value, b: Value, halves: bool) -> Value:
    """Return total + a * b lane by lane; of halves, a lane holds a pair, whose two products are added."""
    if halves:
        return call(builder, "llvm.x86.avx512bf16.dpbf16ps.512", FLOATS, total, a, b)
    a, b = builder.bitcast(a, FLOATS), builder.bitcast(b, FLOATS)
    return call(builder, "llvm.fma.*", FLOATS, a, b, total)


def greater(builder: Builder, a: Value, b: Value) -> Value:
    """Return the greater, b where one is not a number: what a single instruction gives."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def exp2(builder: Builder, power: Value, polynomial: Sequence[float]) -> Value:
    """Return 2 to the power of what is not above 0, lane by lane."""
    power = greater(builder, same(-126.0), power)
    whole = call(builder, "llvm.rint.*", FLOATS, power)
    rest = builder.fsub(power, whole)
    value = same(polynomial[0])
    for coefficient in polynomial[1:]:
        value = call(builder, "llvm.fma.*", FLOATS, value, rest, same(coefficient))
    exponent = builder.shl(builder.fptosi(whole, INTS), ir.Constant(INTS, [23] * LANES))
    return builder.bitcast(builder.add(builder.bitcast(value, INTS), exponent), FLOATS)
