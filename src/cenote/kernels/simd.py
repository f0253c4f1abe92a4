"""The vectors of the processor, sixteen lanes of four bytes, from numba: what the scans are made of.

A chunk of a row becomes one vector of 64 bytes (`widen`); two vectors are multiplied lane by lane and added to a third
(`row_products`, `tile_products`). Everything is LLVM's own vector arithmetic, which any processor can run, but for
the product of bytes where there is an instruction for it: AVX-512 VNNI adds four products of bytes a lane.

numba compiles for the machine it runs on, so the choice is made when a kernel is compiled, by `features`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

FLOAT32, BF16, FLOAT16, E4M3, E5M2, INT8, BITS = range(7)
"""The forms of codes that can be scanned."""

LANES = 16

_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()
_INTS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(_FLOAT, LANES)


@cache
def features() -> frozenset[str]:
    """Return what the processor that numba compiles for can do, in LLVM's words."""
    told = config.CPU_FEATURES
    text = llvmlite.binding.get_host_cpu_features().flatten() if told is None else str(told)
    return frozenset(one[1:] for one in text.split(",") if one.startswith("+"))


def instructions() -> str:
    """Return the instructions that the scans are made of here."""
    if "avx512f" in features():
        return "AVX-512 with VNNI" if has_vnni() else "AVX-512"
    names = {"avx2": "AVX2", "neon": "NEON"}
    return next((name for feature, name in names.items() if feature in features()), "plain")


def has_vnni() -> bool:
    """Whether four products of bytes a lane are one instruction."""
    return {"avx512f", "avx512bw", "avx512vnni"} <= features()


def chunk_bytes(form: int) -> int:
    """Return how many bytes of a row make one vector."""
    if form == INT8:
        return 64 if has_vnni() else 32
    return {FLOAT32: 64, BITS: 64, BF16: 32, FLOAT16: 32, E4M3: 16, E5M2: 16}[form]


def tile_rows() -> int:
    """Return how many rows a tile multiplies at once: of 32 registers of 64 bytes 24 hold sums, else 4 of them do."""
    return 6 if "avx512f" in features() else 1


def is_float(form: int) -> bool:
    """Whether sums are floats; else they are int32."""
    return form not in (INT8, BITS)


def _vector(of: ir.Type, count: int) -> ir.VectorType:
    return ir.VectorType(of, count)


def _all(of: ir.Type, count: int, value: float) -> ir.Constant:
    return ir.Constant(_vector(of, count), [value] * count)


def _call(builder: Any, name: str, result: ir.Type, args: Sequence[Any]) -> Any:
    kind = ir.FunctionType(result, [a.type for a in args])
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, kind, name)
    return builder.call(function, args)


def _load(builder: Any, address: Any, of: ir.Type) -> Any:
    loaded = builder.load(builder.inttoptr(address, of.as_pointer()))
    loaded.align = 1
    return loaded


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


def _load_some(builder: Any, address: Any, count: int, real: Any) -> Any:
    """Load bytes, of which only the first `real` (i64) are there: the others are 0 and are not touched."""
    kind = _vector(_I8, count)
    numbers = ir.Constant(_vector(_I8, count), list(range(count)))
    limit = _spread(builder, builder.trunc(real, _I8), count)
    mask = builder.icmp_unsigned("<", numbers, limit)
    pointer = builder.inttoptr(address, kind.as_pointer())
    name = f"llvm.masked.load.v{count}i8.p0"
    kinds = [kind.as_pointer(), _I32, mask.type, kind]
    function = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(kind, kinds), name)
    return builder.call(function, [pointer, _I32(1), mask, _all(_I8, count, 0)])


def _spread(builder: Any, value: Any, count: int) -> Any:
    one = builder.insert_element(ir.Constant(_vector(value.type, count), ir.Undefined), value, _I32(0))
    return builder.shuffle_vector(one, one, _all(_I32, count, 0))


def _fetch(builder: Any, address: Any) -> None:
    pointer = builder.inttoptr(address, _I8.as_pointer())
    # to read, into the second cache: what is fetched early enough would not stay in the first
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, _I32(0), _I32(2), _I32(1)])


def _for(builder: Any, stop: Any, carried: Sequence[Any], body: Callable[[Any, Any], Sequence[Any]]) -> list[Any]:
    """Emit `for i in range(stop): carried = body(i, carried)`; return what is carried at the end."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(_I64)
    i.add_incoming(_I64(0), before)
    phis = [builder.phi(one.type) for one in carried]
    for phi, one in zip(phis, carried, strict=True):
        phi.add_incoming(one, before)
    builder.cbranch(builder.icmp_signed("<", i, stop), inside, after)
    builder.position_at_end(inside)
    for phi, one in zip(phis, body(i, phis), strict=True):
        phi.add_incoming(one, builder.block)
    i.add_incoming(builder.add(i, _I64(1)), builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis


def _halves(builder: Any, bits: Any) -> Any:
    """Return the float32 of 16 float16, given as their bits."""
    if "f16c" in features() or "fullfp16" in features() or "neon" in features():
        return builder.fpext(builder.bitcast(bits, _vector(_HALF, LANES)), _FLOATS)
    # the exponent moved to its place in a float32 is 112 too low, for subnormal numbers too
    moved = builder.shl(builder.sext(bits, _INTS), _all(_I32, LANES, 13))
    moved = builder.and_(moved, _all(_I32, LANES, 0x8FFFE000))
    return builder.fmul(builder.bitcast(moved, _FLOATS), _all(_FLOAT, LANES, 2.0**112))


def _widened(builder: Any, form: int, raw: Any) -> Any:
    """Return 64 bytes as the products want them: floats, bits, or bytes (pairs of int16 without VNNI)."""
    if form == FLOAT32:
        return builder.bitcast(raw, _FLOATS)
    if form == BITS:
        return builder.bitcast(raw, _INTS)
    if form == INT8 and has_vnni():
        # the instruction multiplies unsigned by signed bytes: 128 is added here and taken off the sum again
        return builder.bitcast(builder.xor(raw, _all(_I8, 64, -128)), _INTS)
    if form == INT8:
        return builder.bitcast(builder.sext(raw, _vector(_I16, 32)), _INTS)
    if form == BF16:
        bits = builder.zext(builder.bitcast(raw, _vector(_I16, LANES)), _INTS)
        return builder.bitcast(builder.shl(bits, _all(_I32, LANES, 16)), _FLOATS)
    if form == FLOAT16:
        return _halves(builder, builder.bitcast(raw, _vector(_I16, LANES)))
    if form == E5M2:  # the upper half of a float16
        short = builder.zext(raw, _vector(_I16, LANES))
        return _halves(builder, builder.shl(short, _all(_I16, LANES, 8)))
    # E4M3: the sign stays on top and the rest moves up by 7, which makes a float16 whose exponent is 8 too low,
    # subnormal numbers too; the caller multiplies by 256
    short = builder.shl(builder.sext(raw, _vector(_I16, LANES)), _all(_I16, LANES, 7))
    return _halves(builder, builder.and_(short, _all(_I16, LANES, 0xBFFF)))


def _added(builder: Any, form: int, total: Any, row: Any, query: Any) -> Any:
    """Return total + row · query; of bits, less those that differ."""
    if is_float(form):
        return _call(builder, "llvm.fmuladd.v16f32", _FLOATS, [row, query, total])
    if form == BITS:
        return builder.sub(total, _call(builder, "llvm.ctpop.v16i32", _INTS, [builder.xor(row, query)]))
    if has_vnni():
        return _call(builder, "llvm.x86.avx512.vpdpbusd.512", _INTS, [total, row, query])
    shorts = [builder.sext(builder.bitcast(one, _vector(_I16, 32)), _vector(_I32, 32)) for one in (row, query)]
    product = builder.mul(*shorts)
    even, odd = (
        builder.shuffle_vector(product, product, ir.Constant(_INTS, list(range(start, 32, 2)))) for start in (0, 1)
    )
    return builder.add(total, builder.add(even, odd))


def _summed(builder: Any, vectors: list[Any]) -> Any:
    """Return the sums of 16 vectors of 16 lanes, as one vector: pairs are interleaved and added, four times."""
    add = builder.fadd if vectors[0].type == _FLOATS else builder.add
    low = [group * 4 + lane for group in range(4) for lane in (0, 1)]
    interleaved = (
        ([x for i in low for x in (i, i + 16)], [x + 2 for i in low for x in (i, i + 16)]),
        (
            [x for g in range(4) for x in (4 * g, 4 * g + 1, 4 * g + 16, 4 * g + 17)],
            [x + 2 for g in range(4) for x in (4 * g, 4 * g + 1, 4 * g + 16, 4 * g + 17)],
        ),
        ([*range(8), *range(16, 24)], [*range(8, 16), *range(24, 32)]),
        (
            [*range(4), *range(8, 12), *range(16, 20), *range(24, 28)],
            [*range(4, 8), *range(12, 16), *range(20, 24), *range(28, 32)],
        ),
    )
    for first, second in interleaved:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [
            add(*(builder.shuffle_vector(a, b, ir.Constant(_INTS, places)) for places in (first, second)))
            for a, b in pairs
        ]
    return vectors[0]


def _known(*given: Any) -> bool:
    """Whether arguments are constants; numba asks about plain integers as well, and then hides what went wrong."""
    return all(isinstance(one, types.IntegerLiteral) for one in given)


@intrinsic
def widen(context: Any, form: Any, source: Any, size: Any, target: Any) -> Any:
    """widen(form, source, size, target): store the `size` bytes at address `source` as vectors at `target`."""
    if not _known(form):
        return None
    each, of = chunk_bytes(form.literal_value), form.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, source, size, target = args
        whole = builder.sdiv(size, _I64(each))

        def one(i: Any, carried: Any) -> list[Any]:
            raw = _load(builder, builder.add(source, builder.mul(i, _I64(each))), _vector(_I8, each))
            _store(builder, _widened(builder, of, raw), builder.add(target, builder.mul(i, _I64(64))))
            return []

        _for(builder, whole, [], one)
        done = builder.mul(whole, _I64(each))
        with builder.if_then(builder.icmp_signed(">", size, done)):
            raw = _load_some(builder, builder.add(source, done), each, builder.sub(size, done))
            _store(builder, _widened(builder, of, raw), builder.add(target, builder.mul(whole, _I64(64))))
        return context.get_dummy_value()

    return types.void(form, types.intp, types.intp, types.intp), generate


@intrinsic
def tile_products(
    context: Any, form: Any, vectors: Any, rows: Any, stride: Any, queries: Any, steps: Any, out: Any
) -> Any:
    """tile_products(form, vectors, rows, stride, queries, steps, out): rows times 16 · vectors queries.

    Row r lies widened at rows + r · stride; step i of the queries, four bytes of each, at queries + i · 64 · vectors.
    The sums go to out, 64 · vectors bytes a row.
    """
    if not _known(form, vectors):
        return None
    of, width, height = form.literal_value, vectors.literal_value, tile_rows()

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, rows, stride, queries, steps, out = args
        kind = _FLOATS if is_float(of) else _INTS
        starts = [builder.add(rows, builder.mul(stride, _I64(r))) for r in range(height)]

        def one(i: Any, sums: Any) -> list[Any]:
            at = builder.add(queries, builder.mul(i, _I64(64 * width)))
            columns = [_load(builder, builder.add(at, _I64(64 * v)), kind) for v in range(width)]
            added = []
            for r, start in enumerate(starts):
                four = _load(builder, builder.add(start, builder.mul(i, _I64(4))), kind.element)
                row = _spread(builder, four, LANES)
                added += [_added(builder, of, sums[r * width + v], row, columns[v]) for v in range(width)]
            return added

        nothing = ir.Constant(kind, [0] * LANES)
        for n, total in enumerate(_for(builder, steps, [nothing] * (height * width), one)):
            _store(builder, total, builder.add(out, _I64(64 * n)))
        return context.get_dummy_value()

    return types.void(form, vectors, *[types.intp] * 5), generate


@intrinsic
def row_products(context: Any, form: Any, rows: Any, size: Any, query: Any, out: Any) -> Any:
    """row_products(form, rows, size, query, out): sixteen rows, whose addresses lie at `rows`, times one query.

    Each row has `size` bytes of codes, the query is widened; sixteen sums go to out. Behind the sixteen addresses are
    sixteen of rows that will be wanted later: memory is asked for them at the pace that these are read.
    """
    if not _known(form):
        return None
    of, each, together = form.literal_value, chunk_bytes(form.literal_value), 4

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, rows, size, query, out = args
        kind = _FLOATS if is_float(of) else _INTS
        whole = builder.sdiv(size, _I64(each))
        done = builder.mul(whole, _I64(each))
        sums = []
        for group in range(0, LANES, together):
            starts, later = (
                [_load(builder, builder.add(rows, _I64(8 * (behind + group + r))), _I64) for r in range(together)]
                for behind in (0, LANES)
            )

            def one(i: Any, carried: Any, starts: list[Any] = starts, later: list[Any] = later) -> list[Any]:
                column = _load(builder, builder.add(query, builder.mul(i, _I64(64))), kind)
                at = builder.mul(i, _I64(each))
                for address in later:
                    _fetch(builder, builder.add(address, at))
                raw = [_load(builder, builder.add(start, at), _vector(_I8, each)) for start in starts]
                return [
                    _added(builder, of, total, _widened(builder, of, chunk), column)
                    for total, chunk in zip(carried, raw, strict=True)
                ]

            begun = _for(builder, whole, [ir.Constant(kind, [0] * LANES)] * together, one)
            before = builder.block
            with builder.if_then(builder.icmp_signed(">", size, done)):
                column = _load(builder, builder.add(query, builder.mul(whole, _I64(64))), kind)
                rest = builder.sub(size, done)
                for address in later:
                    _fetch(builder, builder.add(address, done))
                raw = [_load_some(builder, builder.add(start, done), each, rest) for start in starts]
                ended = [
                    _added(builder, of, total, _widened(builder, of, chunk), column)
                    for total, chunk in zip(begun, raw, strict=True)
                ]
                inside = builder.block
            for total, more in zip(begun, ended, strict=True):
                phi = builder.phi(kind)
                phi.add_incoming(total, before)
                phi.add_incoming(more, inside)
                sums.append(phi)
        _store(builder, _summed(builder, sums), out)
        return context.get_dummy_value()

    return types.void(form, *[types.intp] * 4), generate


@intrinsic
def passing(
    context: Any,
    form: Any,
    vectors: Any,
    sums: Any,
    start: Any,
    by: Any,
    factor: Any,
    shift: Any,
    limit: Any,
    scores: Any,
) -> Any:
    """passing(form, vectors, sums, start, by, factor, shift, limit, scores): finish 16 · vectors scores, and compare.

    scores = (sums + start) · by · factor + shift are stored; bit i of what is returned says that score i exceeds its
    limit, or that one of the two is no number. Sums, limits and the rest are addresses of as many, or one for all.
    """
    if not _known(form, vectors):
        return None
    floats, width = is_float(form.literal_value), vectors.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def lanes(which: int, kind: ir.VectorType, v: int) -> Any:
            given = args[which]
            if given.type != _I64:
                return _spread(builder, given, LANES)
            return _load(builder, builder.add(given, _I64(64 * v)), kind)

        found = _I64(0)
        for v in range(width):
            total = lanes(2, _FLOATS if floats else _INTS, v)
            if not floats:
                total = builder.sitofp(builder.add(total, lanes(3, _INTS, v)), _FLOATS)
            total = builder.fmul(builder.fmul(total, lanes(4, _FLOATS, v)), lanes(5, _FLOATS, v))
            total = builder.fadd(total, lanes(6, _FLOATS, v))
            _store(builder, total, builder.add(args[8], _I64(64 * v)))
            above = builder.fcmp_unordered(">", total, lanes(7, _FLOATS, v))
            bits = builder.zext(builder.bitcast(above, _I16), _I64)
            found = builder.or_(found, builder.shl(bits, _I64(16 * v)))
        return found

    of = (start, by, factor, shift, limit)
    given = [types.intp if isinstance(one, types.Integer) and one.bitwidth == 64 else one for one in of]
    return types.uint64(form, vectors, types.intp, *given, types.intp), generate


@intrinsic
def fetch(context: Any, address: Any) -> Any:
    """fetch(address): ask for the bytes there ahead of their use; an address that is not there does nothing."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _fetch(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.intp), generate
