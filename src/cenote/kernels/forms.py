"""The forms that codes are scanned in: how a row becomes vectors (`widened`), and how two are multiplied (`added`).

    floats  float32 lanes, and a fused product
    int8    four products of bytes a lane where that is one instruction; else pairs of int16, and their two products
    bits    32 bits a lane where counting them is one instruction; else eight half bytes, whose bits a table of 16 gives

Where rows are read in place, bits are taken a whole register at a time, and halved there if need be (`read`).

The table of half bytes is that of Muła, Kurz & Lemire, "Faster population counts using AVX2 instructions" (1611.07612).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from cenote.kernels import simd
from cenote.kernels.simd import FLOAT, I8, I16, I32, alike, call

FLOAT32, BF16, FLOAT16, E4M3, E5M2, INT8, BITS = range(7)
"""The forms of codes that can be scanned."""

_HALF = ir.HalfType()
MOST_HALVES = 63  # vectors of bits of half bytes, each 4 at most, whose sum a byte holds


def is_float(form: int) -> bool:
    """Whether sums are floats; else they are int32."""
    return form not in (INT8, BITS)


def by_halves() -> bool:
    """Whether bits are counted by half bytes."""
    return simd.lanes() > 4 and "avx512vpopcntdq" not in simd.features()


def chunk_bytes(form: int) -> int:
    """Return how many bytes of a row make one vector."""
    lanes = simd.lanes()
    if form == INT8:
        return 4 * lanes if simd.has_vnni() else 2 * lanes
    if form == BITS:
        return 2 * lanes if by_halves() else 4 * lanes
    return {FLOAT32: 4, BF16: 2, FLOAT16: 2, E4M3: 1, E5M2: 1}[form] * lanes


def read_bytes(form: int) -> int:
    """Return how many bytes of a row are read at once where they lie."""
    return 4 * simd.lanes() if form == BITS else chunk_bytes(form)


def widened_queries(form: int, codes: NDArray[Any]) -> NDArray[Any]:
    """Return codes (q, d) of queries as rows are widened; those of floats are float32 already."""
    if form == INT8 and not simd.has_vnni():
        return codes.astype(np.int16)
    if form == BITS and by_halves():
        wide = codes.astype(np.uint16)
        return (wide | wide << 4) & np.uint16(0x0F0F)
    return codes


def widened(builder: Any, form: int, raw: Any) -> Any:
    """Emit the vector that a chunk of a row becomes."""
    lanes, ints, floats = simd.lanes(), simd.ints(), simd.floats()
    shorts = ir.VectorType(I16, lanes)
    if form == FLOAT32:
        return builder.bitcast(raw, floats)
    if form == BITS and by_halves():
        wide = builder.zext(raw, ir.VectorType(I16, 2 * lanes))
        both = builder.or_(wide, builder.shl(wide, alike(I16, 2 * lanes, 4)))
        return builder.bitcast(builder.and_(both, alike(I16, 2 * lanes, 0x0F0F)), ints)
    if form == BITS:
        return builder.bitcast(raw, ints)
    if form == INT8 and simd.has_vnni():
        # the instruction multiplies unsigned by signed bytes: 128 is added here and taken off the sum again
        return builder.bitcast(builder.xor(raw, alike(I8, 4 * lanes, -128)), ints)
    if form == INT8:
        return builder.bitcast(builder.sext(raw, ir.VectorType(I16, 2 * lanes)), ints)
    if form == BF16:
        bits = builder.zext(builder.bitcast(raw, shorts), ints)
        return builder.bitcast(builder.shl(bits, alike(I32, lanes, 16)), floats)
    if form == FLOAT16:
        return _halves(builder, builder.bitcast(raw, shorts))
    if form == E5M2:  # the upper half of a float16
        return _halves(builder, builder.shl(builder.zext(raw, shorts), alike(I16, lanes, 8)))
    # E4M3: the sign stays on top and the rest moves up by 7, which makes a float16 whose exponent is 8 too low,
    # subnormal numbers too; the caller multiplies by 256
    short = builder.shl(builder.sext(raw, shorts), alike(I16, lanes, 7))
    return _halves(builder, builder.and_(short, alike(I16, lanes, 0xBFFF)))


def _halves(builder: Any, bits: Any) -> Any:
    """Emit the float32 of float16, given as their bits."""
    lanes, ints, floats = simd.lanes(), simd.ints(), simd.floats()
    if {"f16c", "fullfp16", "neon"} & simd.features():
        return builder.fpext(builder.bitcast(bits, ir.VectorType(_HALF, lanes)), floats)
    # the exponent moved to its place in a float32 is 112 too low, for subnormal numbers too
    moved = builder.shl(builder.sext(bits, ints), alike(I32, lanes, 13))
    moved = builder.and_(moved, alike(I32, lanes, 0x8FFFE000))
    return builder.fmul(builder.bitcast(moved, floats), alike(FLOAT, lanes, 2.0**112))


def read(builder: Any, form: int, raw: Any) -> Any:
    """Emit the vector that bytes of a row become which are read where they lie."""
    return builder.bitcast(raw, simd.ints()) if form == BITS else widened(builder, form, raw)


def added(builder: Any, form: int, total: Any, row: Any, query: Any) -> Any:
    """Emit total + row · query, of which the sum of all lanes counts; of bits, less those that differ."""
    lanes = simd.lanes()
    if form == BITS and by_halves():
        kind, fours = ir.VectorType(I8, 4 * lanes), ir.VectorType(I16, 2 * lanes)
        both, low = builder.xor(row, query), alike(I8, 4 * lanes, 0x0F)
        upper = builder.bitcast(builder.lshr(builder.bitcast(both, fours), alike(I16, 2 * lanes, 4)), kind)
        halves = [builder.and_(one, low) for one in (builder.bitcast(both, kind), upper)]
        counted = builder.add(*(counts(builder, one) for one in halves))
        # the eight bytes of two lanes are added into one of them
        name, zeros = {8: "llvm.x86.avx2.psad.bw", 16: "llvm.x86.avx512.psad.bw.512"}[lanes], alike(I8, 4 * lanes, 0)
        summed = call(builder, name, ir.VectorType(simd.I64, lanes // 2), [counted, zeros])
        return builder.sub(total, builder.bitcast(summed, simd.ints()))
    return lane_added(builder, form, total, row, query)


def lane_added(builder: Any, form: int, total: Any, row: Any, query: Any) -> Any:
    """Emit total + row · query lane by lane, of forms whose lanes are summed as they come."""
    lanes, ints, floats = simd.lanes(), simd.ints(), simd.floats()
    if is_float(form):
        return call(builder, f"llvm.fmuladd.v{lanes}f32", floats, [row, query, total])
    if form == BITS:
        return builder.sub(total, call(builder, f"llvm.ctpop.v{lanes}i32", ints, [builder.xor(row, query)]))
    if simd.has_vnni():
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", ints, [total, row, query])
    pairs = [builder.bitcast(one, ir.VectorType(I16, 2 * lanes)) for one in (row, query)]
    if lanes > 4:
        name = {8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}[lanes]
        return builder.add(total, call(builder, name, ints, pairs))
    product = builder.mul(*(builder.sext(one, ir.VectorType(I32, 2 * lanes)) for one in pairs))
    even, odd = (
        builder.shuffle_vector(product, product, ir.Constant(ints, list(range(start, 2 * lanes, 2))))
        for start in (0, 1)
    )
    return builder.add(total, builder.add(even, odd))


def counts(builder: Any, halves: Any) -> Any:
    """Emit how many bits of each byte are set, of bytes below 16."""
    lanes = simd.lanes()
    table = ir.Constant(halves.type, [i.bit_count() for i in range(16)] * (lanes // 4))
    name = {8: "llvm.x86.avx2.pshuf.b", 16: "llvm.x86.avx512.pshuf.b.512"}[lanes]
    return call(builder, name, halves.type, [table, halves])


def differing(builder: Any, row: Any, query: Any) -> Any:
    """Emit how many bits of each half byte differ, as bytes."""
    return counts(builder, builder.bitcast(builder.xor(row, query), ir.VectorType(I8, 4 * simd.lanes())))


def less_bytes(builder: Any, total: Any, counted: Any) -> Any:
    """Emit the int32 lanes of total less the four bytes of each lane of `counted`."""
    lanes = simd.lanes()
    words = builder.bitcast(counted, simd.ints())
    mask = alike(I32, lanes, 0x00FF00FF)
    pairs = builder.add(builder.and_(words, mask), builder.and_(builder.lshr(words, alike(I32, lanes, 8)), mask))
    both = builder.add(pairs, builder.lshr(pairs, alike(I32, lanes, 16)))
    return builder.sub(total, builder.and_(both, alike(I32, lanes, 0xFFFF)))
