"""Products of rows and queries, from numba: what the scans are made of.

A chunk of a row becomes one vector (`widen`); vectors are multiplied lane by lane and added up, in tiles whose sums
stay in registers (`tile_products`), or sixteen rows at once where they lie (`row_products`); `passing` makes scores of
the sums and says which exceed a limit.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cenote.kernels import forms, simd
from cenote.kernels.simd import I8, I32, I64, load, prefetch, repeat, spread, store

ROWS = 16
"""Rows that are multiplied at once where they lie."""


def tile_widths() -> tuple[int, ...]:
    """Return how many queries a tile may have, ascending."""
    return (16, 64) if simd.lanes() == 16 else (16,)


def tile_steps() -> int:
    """Return how many steps of a tile are one turn of its loop: narrow registers take more of them."""
    return 2 if simd.lanes() == 8 else 1


def tile_rows(form: int) -> int:
    """Return how many rows a tile multiplies at once: as many as leave room for a row, the queries and a product."""
    if form == forms.BITS and forms.by_halves() and simd.registers() == 16:
        return 4
    return 6 if simd.registers() == 32 or simd.lanes() == 8 else 2


def _known(*given: Any) -> bool:
    """Whether arguments are constants; numba asks about plain integers as well, and then hides what went wrong."""
    return all(isinstance(one, types.IntegerLiteral) for one in given)


@intrinsic
def widen(context: Any, form: Any, source: Any, size: Any, target: Any) -> Any:
    """widen(form, source, size, target): store the `size` bytes at address `source` as vectors at `target`."""
    if not _known(form):
        return None
    each, of = forms.chunk_bytes(form.literal_value), form.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, source, size, target = args
        whole, step = builder.sdiv(size, I64(each)), I64(4 * simd.lanes())

        def one(i: Any, carried: Any) -> list[Any]:
            raw = load(builder, builder.add(source, builder.mul(i, I64(each))), ir.VectorType(I8, each))
            store(builder, forms.widened(builder, of, raw), builder.add(target, builder.mul(i, step)))
            return []

        repeat(builder, whole, [], one)
        done = builder.mul(whole, I64(each))
        with builder.if_then(builder.icmp_signed(">", size, done)):
            (raw,) = simd.load_some(builder, [builder.add(source, done)], each, builder.sub(size, done))
            store(builder, forms.widened(builder, of, raw), builder.add(target, builder.mul(whole, step)))
        return context.get_dummy_value()

    return types.void(form, types.intp, types.intp, types.intp), generate


@intrinsic
def tile_products(
    context: Any, form: Any, width: Any, rows: Any, stride: Any, queries: Any, steps: Any, out: Any
) -> Any:
    """tile_products(form, width, rows, stride, queries, steps, out): rows times `width` queries.

    Row r lies widened at rows + r · stride; step i of the queries, four bytes of each, at queries + i · 4 · width.
    There are a multiple of `tile_steps()`. The sums go to out, 4 · width bytes a row.
    """
    if not _known(form, width):
        return None
    of, lanes = form.literal_value, simd.lanes()
    vectors, height, together = width.literal_value // lanes, tile_rows(form.literal_value), tile_steps()
    floats, halves = forms.is_float(of), of == forms.BITS and forms.by_halves()

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, rows, stride, queries, steps, out = args
        kind = simd.floats() if floats else simd.ints()
        nothing = ir.Constant(kind, [0] * lanes)
        starts = [builder.add(rows, builder.mul(stride, I64(r))) for r in range(height)]
        places = [builder.add(out, I64(4 * lanes * n)) for n in range(height * vectors)]

        def step(i: Any, sums: Any) -> list[Any]:
            at = builder.add(queries, builder.mul(i, I64(4 * lanes * vectors)))
            columns = [load(builder, builder.add(at, I64(4 * lanes * v)), kind) for v in range(vectors)]
            added = []
            for r, start in enumerate(starts):
                four = load(builder, builder.add(start, builder.mul(i, I64(4))), kind.element)
                row = spread(builder, four, lanes)
                for total, column in zip(sums[r * vectors : (r + 1) * vectors], columns, strict=True):
                    if halves:
                        added.append(builder.add(total, forms.differing(builder, row, column)))
                    else:
                        added.append(forms.lane_added(builder, of, total, row, column))
            return added

        def turn(i: Any, sums: Any) -> list[Any]:
            for n in range(together):
                sums = step(builder.add(builder.mul(i, I64(together)), I64(n)), sums)
            return list(sums)

        if not halves:
            turns, begun = builder.sdiv(steps, I64(together)), [nothing] * len(places)
            for place, total in zip(places, repeat(builder, turns, begun, turn), strict=True):
                store(builder, total, place)
            return context.get_dummy_value()

        for place in places:
            store(builder, nothing, place)
        most = I64(forms.MOST_HALVES)

        def run(n: Any, carried: Any) -> list[Any]:
            first = builder.mul(n, most)
            left = builder.sub(steps, first)
            few = builder.select(builder.icmp_signed("<", left, most), left, most)
            zeros = [simd.alike(I8, 4 * lanes, 0)] * len(places)
            counted = repeat(builder, few, zeros, lambda i, sums: step(builder.add(first, i), sums))
            for place, one in zip(places, counted, strict=True):
                store(builder, forms.less_bytes(builder, load(builder, place, kind), one), place)
            return []

        repeat(builder, builder.sdiv(builder.add(steps, I64(forms.MOST_HALVES - 1)), most), [], run)
        return context.get_dummy_value()

    return types.void(form, width, *[types.intp] * 5), generate


@intrinsic
def row_products(context: Any, form: Any, codes: Any, rows: Any, later: Any, size: Any, query: Any, out: Any) -> Any:
    """row_products(form, codes, rows, later, size, query, out): sixteen rows times one query.

    Rows of `size` bytes lie at codes + number · size; sixteen int32 numbers lie at `rows`, and at `later` sixteen of
    rows that will be wanted: memory is asked for them at the pace that these are read. The query lies as
    rows are read (`forms.read`); sixteen sums go to out.
    """
    if not _known(form):
        return None
    of, each, together, lanes = form.literal_value, forms.read_bytes(form.literal_value), 4, simd.lanes()

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, codes, rows, later, size, query, out = args
        kind = simd.floats() if forms.is_float(of) else simd.ints()
        nothing = ir.Constant(kind, [0] * lanes)
        lines, whole = builder.sdiv(size, I64(64)), builder.sdiv(size, I64(each))
        done, fetched = builder.mul(whole, I64(each)), builder.mul(lines, I64(64))
        between = builder.sub(whole, builder.sdiv(fetched, I64(each)))

        def addresses(numbers: Any, group: int) -> list[Any]:
            found = [load(builder, builder.add(numbers, I64(4 * (group + r))), I32) for r in range(together)]
            return [builder.add(codes, builder.mul(builder.sext(one, I64), size)) for one in found]

        def multiplied(group: int) -> list[Any]:
            starts, ahead = addresses(rows, group), addresses(later, group)

            def chunk(at: Any, sums: Any, real: Any = None) -> list[Any]:
                column = load(builder, builder.add(query, builder.mul(at, I64(4 * lanes // each))), kind)
                places = [builder.add(start, at) for start in starts]
                if real is None:
                    raw = [load(builder, place, ir.VectorType(I8, each)) for place in places]
                else:
                    raw = simd.load_some(builder, places, each, real)
                return [
                    forms.added(builder, of, total, forms.read(builder, of, one), column)
                    for total, one in zip(sums, raw, strict=True)
                ]

            def line(i: Any, sums: Any) -> list[Any]:
                at = builder.mul(i, I64(64))
                for address in ahead:
                    prefetch(builder, builder.add(address, at))
                for n in range(0, 64, each):
                    sums = chunk(builder.add(at, I64(n)), sums)
                return list(sums)

            def rest(i: Any, sums: Any) -> list[Any]:
                return chunk(builder.add(fetched, builder.mul(i, I64(each))), sums)

            begun = repeat(builder, lines, [nothing] * together, line)
            for address in ahead:
                prefetch(builder, builder.add(address, fetched))
            begun = repeat(builder, between, begun, rest) if each < 64 else begun
            before = builder.block
            with builder.if_then(builder.icmp_signed(">", size, done)):
                ended = chunk(done, begun, builder.sub(size, done))
                inside = builder.block
            sums = [builder.phi(kind) for _ in range(together)]
            for phi, total, more in zip(sums, begun, ended, strict=True):
                phi.add_incoming(total, before)
                phi.add_incoming(more, inside)
            return sums

        for first in range(0, ROWS, lanes):
            sums = [total for group in range(first, first + lanes, together) for total in multiplied(group)]
            store(builder, simd.summed(builder, sums), builder.add(out, I64(4 * first)))
        return context.get_dummy_value()

    return types.void(form, *[types.intp] * 6), generate


@intrinsic
def passing(
    context: Any,
    form: Any,
    width: Any,
    sums: Any,
    start: Any,
    by: Any,
    factor: Any,
    shift: Any,
    limit: Any,
    scores: Any,
) -> Any:
    """passing(form, width, sums, start, by, factor, shift, limit, scores): finish `width` scores, and compare.

    scores = (sums + start) · by · factor + shift are stored; bit i of what is returned says that score i exceeds its
    limit, or that one of the two is no number. Sums, limits and the rest are addresses of as many, or one for all.
    """
    if not _known(form, width):
        return None
    floats, lanes = forms.is_float(form.literal_value), simd.lanes()

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def given(which: int, kind: ir.VectorType, v: int) -> Any:
            value = args[which]
            if value.type != I64:
                return spread(builder, value, lanes)
            return load(builder, builder.add(value, I64(4 * lanes * v)), kind)

        found = I64(0)
        for v in range(width.literal_value // lanes):
            total = given(2, simd.floats() if floats else simd.ints(), v)
            if not floats:
                total = builder.sitofp(builder.add(total, given(3, simd.ints(), v)), simd.floats())
            total = builder.fmul(builder.fmul(total, given(4, simd.floats(), v)), given(5, simd.floats(), v))
            total = builder.fadd(total, given(6, simd.floats(), v))
            store(builder, total, builder.add(args[8], I64(4 * lanes * v)))
            above = builder.fcmp_unordered(">", total, given(7, simd.floats(), v))
            bits = builder.zext(builder.bitcast(above, ir.IntType(lanes)), I64)
            found = builder.or_(found, builder.shl(bits, I64(lanes * v)))
        return found

    of = (start, by, factor, shift, limit)
    given = [types.intp if isinstance(one, types.Integer) and one.bitwidth == 64 else one for one in of]
    return types.uint64(form, width, types.intp, *given, types.intp), generate
