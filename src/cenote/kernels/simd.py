"""The vectors of the processor, from numba: how wide they are here, and the pieces that the scans are emitted from.

A vector has as many lanes of four bytes as a register: 16 with AVX-512, 8 with AVX2, else 4. Everything is LLVM's own
vector arithmetic, which any processor can run, but for a few products and table look-ups that are one instruction of
some of them (`kernels.forms`). numba compiles for the machine it runs on, so the choice is made when a kernel is
compiled, by `features`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
FLOAT = ir.FloatType()


@cache
def features() -> frozenset[str]:
    """Return what the processor that numba compiles for can do, in LLVM's words."""
    told = config.CPU_FEATURES
    text = llvmlite.binding.get_host_cpu_features().flatten() if told is None else str(told)
    return frozenset(one[1:] for one in text.split(",") if one.startswith("+"))


def instructions() -> str:
    """Return the instructions that the scans are made of here."""
    if lanes() == 16:
        return "AVX-512 with VNNI" if has_vnni() else "AVX-512"
    names = {"avx2": "AVX2", "neon": "NEON"}
    return next((name for feature, name in names.items() if feature in features()), "plain")


def lanes() -> int:
    """Return how many numbers of four bytes one register holds."""
    if {"avx512f", "avx512bw"} <= features():
        return 16
    return 8 if "avx2" in features() else 4


def registers() -> int:
    """Return how many vectors the processor holds at once."""
    return 32 if lanes() == 16 or "neon" in features() else 16


def has_vnni() -> bool:
    """Whether four products of bytes a lane are one instruction."""
    return lanes() == 16 and "avx512vnni" in features()


def ints() -> ir.VectorType:
    """Return the vector of int32."""
    return ir.VectorType(I32, lanes())


def floats() -> ir.VectorType:
    """Return the vector of float32."""
    return ir.VectorType(FLOAT, lanes())


def alike(of: ir.Type, count: int, value: float) -> ir.Constant:
    """Return a vector of one constant."""
    return ir.Constant(ir.VectorType(of, count), [value] * count)


def call(builder: Any, name: str, result: ir.Type, args: Sequence[Any]) -> Any:
    """Emit a call of one of LLVM's own functions."""
    kind = ir.FunctionType(result, [a.type for a in args])
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, kind, name)
    return builder.call(function, args)


def load(builder: Any, address: Any, of: ir.Type) -> Any:
    """Emit the loading of what lies at an address, wherever that is."""
    loaded = builder.load(builder.inttoptr(address, of.as_pointer()))
    loaded.align = 1
    return loaded


def store(builder: Any, value: Any, address: Any) -> None:
    """Emit the storing of a value at an address, wherever that is."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


def load_some(builder: Any, addresses: Sequence[Any], count: int, real: Any) -> list[Any]:
    """Emit the loading of bytes, of which only the first `real` (i64) are there: the others are 0, and not touched."""
    if lanes() == 16:
        mask = builder.icmp_unsigned("<", _numbers(I8, count), spread(builder, builder.trunc(real, I8), count))
        return [_masked(builder, address, mask, I8, count) for address in addresses]
    # without masks of bytes, four of them at a time, and the rest one by one
    width = count // 4
    words = builder.trunc(builder.lshr(real, I64(2)), I32)
    numbers, limit = _numbers(I32, width), spread(builder, words, width)
    mask, spare = builder.icmp_unsigned("<", numbers, limit), builder.and_(real, I64(3))
    found = [_masked(builder, address, mask, I32, width) for address in addresses]
    before, more = builder.block, []
    with builder.if_then(builder.icmp_unsigned(">", spare, I64(0))):
        for address, one in zip(addresses, found, strict=True):
            start = builder.add(address, builder.sub(real, spare))
            word = I32(0)
            for place in (I64(0), builder.lshr(spare, I64(1)), builder.sub(spare, I64(1))):
                byte = builder.zext(load(builder, builder.add(start, place), I8), I32)
                moved = builder.trunc(builder.mul(place, I64(8)), I32)
                word = builder.or_(word, builder.shl(byte, moved))
            more.append(builder.select(builder.icmp_unsigned("==", numbers, limit), spread(builder, word, width), one))
        inside = builder.block
    whole = [builder.phi(one.type) for one in found]
    for phi, one, other in zip(whole, found, more, strict=True):
        phi.add_incoming(one, before)
        phi.add_incoming(other, inside)
    return [builder.bitcast(phi, ir.VectorType(I8, count)) for phi in whole]


def _numbers(of: ir.Type, count: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(of, count), list(range(count)))


def _masked(builder: Any, address: Any, mask: Any, of: ir.Type, count: int) -> Any:
    kind = ir.VectorType(of, count)
    name = f"llvm.masked.load.v{count}i{of.width}.p0"
    return call(builder, name, kind, [builder.inttoptr(address, kind.as_pointer()), I32(1), mask, alike(of, count, 0)])


def spread(builder: Any, value: Any, count: int) -> Any:
    """Emit a vector of one value."""
    one = builder.insert_element(ir.Constant(ir.VectorType(value.type, count), ir.Undefined), value, I32(0))
    return builder.shuffle_vector(one, one, alike(I32, count, 0))


def repeat(builder: Any, stop: Any, carried: Sequence[Any], body: Callable[[Any, Any], Sequence[Any]]) -> list[Any]:
    """Emit `for i in range(stop): carried = body(i, carried)`; return what is carried at the end."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(I64)
    i.add_incoming(I64(0), before)
    phis = [builder.phi(one.type) for one in carried]
    for phi, one in zip(phis, carried, strict=True):
        phi.add_incoming(one, before)
    builder.cbranch(builder.icmp_signed("<", i, stop), inside, after)
    builder.position_at_end(inside)
    for phi, one in zip(phis, body(i, phis), strict=True):
        phi.add_incoming(one, builder.block)
    i.add_incoming(builder.add(i, I64(1)), builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis


def summed(builder: Any, vectors: list[Any]) -> Any:
    """Emit the sums of as many vectors as each has lanes, as one vector.

    Pairs of vectors are interleaved and added, first lane by lane inside every 16 bytes, then by these.
    """
    count = len(vectors)
    add = builder.fadd if vectors[0].type.element == FLOAT else builder.add

    def folded(first: list[int], second: list[int]) -> list[Any]:
        orders = [ir.Constant(ir.VectorType(I32, count), places) for places in (first, second)]
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        return [add(*(builder.shuffle_vector(a, b, order) for order in orders)) for a, b in pairs]

    starts = range(0, count, 4)
    low = [place for s in starts for i in (s, s + 1) for place in (i, i + count)]
    vectors = folded(low, [place + 2 for place in low])
    low = [place for s in starts for place in (s, s + 1, s + count, s + count + 1)]
    vectors = folded(low, [place + 2 for place in low])
    parts = count // 4  # runs of four lanes that hold parts of the same four sums
    while parts > 1:
        first = [q % parts < parts // 2 for q in range(count // 2)]
        low, high = (
            [4 * q + i for q in range(count // 2) if first[q] is half for i in range(4)] for half in (True, False)
        )
        vectors, parts = folded(low, high), parts // 2
    return vectors[0]


def prefetch(builder: Any, address: Any) -> None:
    """Emit the asking for what lies at an address; one that is not there does nothing."""
    pointer = builder.inttoptr(address, I8.as_pointer())
    # to read, into the second cache: what is fetched early enough would not stay in the first
    call(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, I32(0), I32(2), I32(1)])


@intrinsic
def fetch(context: Any, address: Any) -> Any:
    """fetch(address): ask for the bytes there ahead of their use; an address that is not there does nothing."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        prefetch(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.intp), generate
