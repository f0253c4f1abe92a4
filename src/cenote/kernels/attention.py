"""Attention over packed rows: each row attends to itself alone, and no padding is computed.

    out_i = sum_j softmax_j(q_i . k_j / sqrt(d)) v_j        i, j in one row; every head by itself

A task is one row and one head. Its keys are turned once, so that 16 of them lie across a vector register; then four
queries at a time get their scores, which stay in the first cache, the softmax and the sum of values. In bf16 a step
multiplies pairs (`vdpbf16ps`) and adds in fp32; in fp32 it is a multiply-add. A block that reaches beyond its row
computes the row's last key or query again, so nothing outside a row is ever read.

The inner loops are written as LLVM instructions: their sums must stay in registers, where no array can be held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.extending import intrinsic
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor

from cenote.arrays import Int64
from cenote.kernels import threads
from cenote.kernels.compiled import compiled

_LANES = 16
_QUERIES = 4
"""Queries at a time: with four registers of keys, sixteen sums in flight hide the latency of one."""
_EXP2 = {
    halves: Chebyshev.interpolate(np.exp2, degree, domain=(-0.5, 0.5)).convert(kind=Polynomial).coef[::-1].tolist()
    for halves, degree in ((True, 3), (False, 6))
}
"""2^x for |x| <= 1/2, highest power first, to 1e-4 where weights are rounded to bf16, which is 2^-9, else to 1e-8."""
_LOG2_E = 1.4426950408889634

_I32, _F32, _POINTER = ir.IntType(32), ir.FloatType(), ir.PointerType()
_INTS, _FLOATS = ir.VectorType(_I32, _LANES), ir.VectorType(_F32, _LANES)
_HALF, _PAIRS = ir.VectorType(ir.IntType(16), _LANES), ir.VectorType(ir.IntType(16), 2 * _LANES)
_WORD = ir.IntType(64)

Builder = Any
Value = Any


@cache
def computes(dtype: str, dim: int, heads: int) -> bool:
    """Whether this CPU has the instructions for a type, "bfloat16" or "float32", and the heads a width that fits."""
    needed = {"bfloat16": ("avx512bf16", "avx512bw"), "float32": ("avx512f",)}[dtype]
    here = get_host_cpu_features()
    return all(here.get(name, False) for name in needed) and dim % heads == 0 and dim // heads % (2 * _LANES) == 0


def attend(qkv: Tensor, offsets: Int64, heads: int) -> Tensor:
    """Return (M, D) for qkv (M, 3 D), queries, keys and values side by side; bf16 or fp32, where `computes` says so.

    offsets: int64 (B + 1), the rows' borders in numpy.
    """
    qkv = qkv.contiguous()
    out = qkv.new_empty(len(qkv), qkv.shape[1] // 3)
    width = out.shape[1] // heads
    kernel = _attend_halves if qkv.dtype == torch.bfloat16 else _attend_floats
    places = (int(np.diff(offsets).max(initial=0)) + 15) // 16 * 16

    def run(first: int, stop: int) -> None:
        # turned keys, paired values, scores, weights, shares; torch aligns to a line of the cache, numpy does not
        scratch = torch.empty(places * (4 * width + 32) + 256, dtype=torch.uint8)
        kernel(qkv.data_ptr(), out.data_ptr(), offsets, heads, width, places, scratch.data_ptr(), first, stop)

    threads.over_ranges(run, (len(offsets) - 1) * heads, least=heads)
    return out


def _at(builder: Builder, address: Value, kind: ir.Type) -> Value:
    return builder.load(builder.inttoptr(address, _POINTER), typ=kind, align=4)


def _put(builder: Builder, value: Value, address: Value) -> None:
    builder.store(value, builder.inttoptr(address, _POINTER), align=4)


def _plus(builder: Builder, address: Value, steps: int) -> Value:
    return builder.add(address, _WORD(steps))


def _spread(builder: Builder, value: Value, kind: ir.VectorType) -> Value:
    """Return a vector that holds one number in every lane."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _I32(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES))


def _same(number: float) -> Value:
    return ir.Constant(_FLOATS, [number] * _LANES)


def _call(builder: Builder, name: str, result: ir.Type, *values: Value, fast: Sequence[str] = ()) -> Value:
    kind = ir.FunctionType(result, [value.type for value in values])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, values, fastmath=fast)


def _loop(
    builder: Builder, times: Value, begun: Sequence[Value], body: Callable[[Value, list[Value]], list[Value]]
) -> list[Value]:
    """Return what `body(i, values)` makes of the values, i from 0 up to `times`; the values live in registers."""
    before = builder.block
    inside, behind = builder.append_basic_block(), builder.append_basic_block()
    builder.cbranch(builder.icmp_signed(">", times, _WORD(0)), inside, behind)
    builder.position_at_end(inside)
    i = builder.phi(_WORD)
    values = [builder.phi(value.type) for value in begun]
    found = body(i, values)
    following, end = builder.add(i, _WORD(1)), builder.block
    i.add_incoming(_WORD(0), before)
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


@intrinsic
def _turn(context, rows, step, left, out, out_step):  # type: ignore[no-untyped-def]
    """Write 16 rows of 16 words, `step` bytes apart, as 16 columns, `out_step` bytes apart; `left` rows exist."""

    def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
        rows, step, left, out, out_step = values
        held = [_at(builder, _row(builder, rows, step, left, i), _INTS) for i in range(_LANES)]
        for far in (8, 4, 2, 1):
            low = [lane if lane & far == 0 else _LANES + lane - far for lane in range(_LANES)]
            high = [lane + far if lane & far == 0 else _LANES + lane for lane in range(_LANES)]
            for i in range(_LANES):
                if i & far == 0:
                    a, b = held[i], held[i + far]
                    held[i], held[i + far] = _mixed(builder, a, b, low), _mixed(builder, a, b, high)
        for i, column in enumerate(held):
            _put(builder, column, builder.add(out, builder.mul(out_step, _WORD(i))))
        return ir.Constant(_I32, 0)

    return types.int32(rows, step, left, out, out_step), generate


@intrinsic
def _pair(context, first, second, out):  # type: ignore[no-untyped-def]
    """Write 32 halves of two rows in turn: a0 b0 a1 b1 ..."""

    def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
        a, b = (_at(builder, address, _PAIRS) for address in values[:2])
        for part in range(2):
            order = [lane // 2 + part * _LANES + lane % 2 * 2 * _LANES for lane in range(2 * _LANES)]
            _put(builder, _mixed(builder, a, b, order), _plus(builder, values[2], 64 * part))
        return ir.Constant(_I32, 0)

    return types.int32(first, second, out), generate


def _scores(tiles: int, halves: bool) -> Any:
    """Code for the products of 4 queries with 16 * tiles turned keys."""

    @intrinsic
    def scores(context, queries, step, left, keys, key_step, steps, out, out_step):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
            queries, step, left, keys, key_step, steps, out, out_step = values
            rows = [_row(builder, queries, step, left, r) for r in range(_QUERIES)]

            def body(i: Value, sums: list[Value]) -> list[Value]:
                line = builder.add(keys, builder.mul(i, key_step))
                right = [_at(builder, _plus(builder, line, 64 * t), _INTS) for t in range(tiles)]
                found = []
                for r, row in enumerate(rows):
                    word = _at(builder, builder.add(row, builder.shl(i, _WORD(2))), _I32)
                    left = _spread(builder, word, _INTS)
                    found += [_accumulated(builder, sums[r * tiles + t], left, right[t], halves) for t in range(tiles)]
                return found

            sums = _loop(builder, steps, [_same(0.0)] * (_QUERIES * tiles), body)
            for i, value in enumerate(sums):
                place = builder.add(out, builder.mul(out_step, _WORD(i // tiles)))
                _put(builder, value, _plus(builder, place, 64 * (i % tiles)))
            return ir.Constant(_I32, 0)

        return types.int32(queries, step, left, keys, key_step, steps, out, out_step), generate

    return scores


def _softmax(halves: bool) -> Any:
    """Code that turns 4 rows of scores into weights, and writes 1 / their sum, 16 times over, to `inverse`."""

    @intrinsic
    def softmax(context, scores, score_step, out, out_step, keys, scale, inverse):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
            scores, score_step, out, out_step, keys, scale, inverse = values
            lines = [builder.add(scores, builder.mul(score_step, _WORD(r))) for r in range(_QUERIES)]
            places = [builder.add(out, builder.mul(out_step, _WORD(r))) for r in range(_QUERIES)]
            blocks = builder.ashr(_plus(builder, keys, _LANES - 1), _WORD(4))
            scale = _spread(builder, scale, _FLOATS)

            def greatest(i: Value, most: list[Value]) -> list[Value]:
                at = builder.shl(i, _WORD(6))
                new = [_at(builder, builder.add(line, at), _FLOATS) for line in lines]
                return [_greater(builder, a, b) for a, b in zip(most, new, strict=True)]

            most = _loop(builder, blocks, [_same(-np.inf)] * _QUERIES, greatest)
            tops = [
                _spread(builder, _call(builder, "llvm.vector.reduce.fmax.v16f32", _F32, value), _FLOATS)
                for value in most
            ]
            bases = [builder.fneg(builder.fmul(top, scale)) for top in tops]
            lanes = ir.Constant(_INTS, list(range(_LANES)))
            count = _spread(builder, builder.trunc(keys, _I32), _INTS)

            def weigh(i: Value, sums: list[Value]) -> list[Value]:
                at = builder.shl(i, _WORD(6))
                number = builder.add(_spread(builder, builder.trunc(builder.shl(i, _WORD(4)), _I32), _INTS), lanes)
                inside = builder.icmp_signed("<", number, count)
                found = []
                for r, line in enumerate(lines):
                    score = _at(builder, builder.add(line, at), _FLOATS)
                    power = _call(builder, "llvm.fma.v16f32", _FLOATS, score, scale, bases[r])
                    weight = builder.select(inside, _exp2(builder, power, _EXP2[halves]), _same(0.0))
                    found.append(builder.fadd(sums[r], weight))
                    if halves:
                        half = _call(builder, "llvm.x86.avx512bf16.cvtneps2bf16.512", _HALF, weight)
                        _put(builder, half, builder.add(places[r], builder.shl(i, _WORD(5))))
                    else:
                        _put(builder, weight, builder.add(places[r], at))
                return found

            sums = _loop(builder, blocks, [_same(0.0)] * _QUERIES, weigh)
            for r, value in enumerate(sums):
                total = _call(
                    builder, "llvm.vector.reduce.fadd.v16f32", _F32, ir.Constant(_F32, -0.0), value, fast=("reassoc",)
                )
                share = builder.fdiv(ir.Constant(_F32, 1.0), total)
                _put(builder, _spread(builder, share, _FLOATS), _plus(builder, inverse, 64 * r))
            return ir.Constant(_I32, 0)

        return types.int32(scores, score_step, out, out_step, keys, scale, inverse), generate

    return softmax


def _mix(columns: int, halves: bool) -> Any:
    """Code for the sums of values, 16 * columns wide, by the weights of 4 queries."""

    @intrinsic
    def mix(context, weights, weight_step, values, value_step, steps, inverse, out, step, left):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, given: Sequence[Value]) -> Value:
            weights, weight_step, values, value_step, steps, inverse, out, step, left = given
            lines = [builder.add(weights, builder.mul(weight_step, _WORD(r))) for r in range(_QUERIES)]

            def body(i: Value, sums: list[Value]) -> list[Value]:
                line = builder.add(values, builder.mul(i, value_step))
                right = [_at(builder, _plus(builder, line, 64 * c), _INTS) for c in range(columns)]
                found = []
                for r, weight in enumerate(lines):
                    word = _at(builder, builder.add(weight, builder.shl(i, _WORD(2))), _I32)
                    left = _spread(builder, word, _INTS)
                    found += [
                        _accumulated(builder, sums[r * columns + c], left, right[c], halves) for c in range(columns)
                    ]
                return found

            sums = _loop(builder, steps, [_same(0.0)] * (_QUERIES * columns), body)
            for r in range(_QUERIES):
                share = _at(builder, _plus(builder, inverse, 64 * r), _FLOATS)
                place = _row(builder, out, step, left, r)
                for c in range(columns):
                    value = builder.fmul(sums[r * columns + c], share)
                    if halves:
                        value = _call(builder, "llvm.x86.avx512bf16.cvtneps2bf16.512", _HALF, value)
                    _put(builder, value, _plus(builder, place, (32 if halves else 64) * c))
            return ir.Constant(_I32, 0)

        return types.int32(weights, weight_step, values, value_step, steps, inverse, out, step, left), generate

    return mix


def _row(builder: Builder, first: Value, step: Value, left: Value, i: int) -> Value:
    """Return the address of row i, or of the last of the `left` rows that exist."""
    last = builder.sub(left, _WORD(1))
    number = builder.select(builder.icmp_signed("<", _WORD(i), last), _WORD(i), last)
    return builder.add(first, builder.mul(step, number))


def _mixed(builder: Builder, a: Value, b: Value, order: list[int]) -> Value:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), order))


def _accumulated(builder: Builder, total: Value, a: Value, b: Value, halves: bool) -> Value:
    if halves:
        return _call(builder, "llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, total, a, b)
    a, b = builder.bitcast(a, _FLOATS), builder.bitcast(b, _FLOATS)
    return _call(builder, "llvm.fma.v16f32", _FLOATS, a, b, total)


def _greater(builder: Builder, a: Value, b: Value) -> Value:
    """Return the greater, b where one is not a number: what a single instruction gives."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _exp2(builder: Builder, power: Value, polynomial: Sequence[float]) -> Value:
    """Return 2 to the power of what is not above 0, lane by lane."""
    power = _greater(builder, _same(-126.0), power)
    whole = _call(builder, "llvm.rint.v16f32", _FLOATS, power)
    rest = builder.fsub(power, whole)
    value = _same(polynomial[0])
    for coefficient in polynomial[1:]:
        value = _call(builder, "llvm.fma.v16f32", _FLOATS, value, rest, _same(coefficient))
    exponent = builder.shl(builder.fptosi(whole, _INTS), ir.Constant(_INTS, [23] * _LANES))
    return builder.bitcast(builder.add(builder.bitcast(value, _INTS), exponent), _FLOATS)


_scores_1_halves, _scores_2_halves, _scores_3_halves, _scores_4_halves = (_scores(n, True) for n in (1, 2, 3, 4))
_scores_1_floats, _scores_2_floats, _scores_3_floats, _scores_4_floats = (_scores(n, False) for n in (1, 2, 3, 4))
_softmax_halves, _softmax_floats = _softmax(True), _softmax(False)
_mix_4_halves, _mix_2_halves = _mix(4, True), _mix(2, True)
_mix_4_floats, _mix_2_floats = _mix(4, False), _mix(2, False)


@compiled
def _attend_halves(
    qkv: int, out: int, offsets: Int64, heads: int, width: int, places: int, scratch: int, first: int, stop: int
) -> None:
    scale = np.float32(_LOG2_E / np.sqrt(width))
    key, key_step, value_step, weight_step = scratch, 4 * places, 4 * width, 2 * places
    value = key + width // 2 * key_step
    score = value + places // 2 * value_step
    weight, share = score + 4 * key_step, score + 6 * key_step
    out_step, step = 2 * heads * width, 6 * heads * width
    for task in range(first, stop):
        row, head = task // heads, task % heads
        n = offsets[row + 1] - offsets[row]
        query = qkv + offsets[row] * step + 2 * head * width
        result = out + offsets[row] * out_step + 2 * head * width
        for j in range(0, n, 16):
            for part in range(0, width // 2, 16):
                at = query + out_step + j * step + 4 * part
                _turn(at, step, n - j, key + part * key_step + 4 * j, key_step)
        for j in range(0, n, 2):
            for part in range(0, width, 32):
                at = query + 2 * out_step + j * step + 2 * part
                _pair(at, at + min(1, n - 1 - j) * step, value + j // 2 * value_step + 4 * part)
        for i in range(0, n, 4):
            at, left = query + i * step, n - i
            j = 0
            while j < n:
                tiles = _tiles(n - j)
                keys, to = key + 4 * j, score + 4 * j
                if tiles == 4:
                    _scores_4_halves(at, step, left, keys, key_step, width // 2, to, key_step)
                elif tiles == 3:
                    _scores_3_halves(at, step, left, keys, key_step, width // 2, to, key_step)
                elif tiles == 2:
                    _scores_2_halves(at, step, left, keys, key_step, width // 2, to, key_step)
                else:
                    _scores_1_halves(at, step, left, keys, key_step, width // 2, to, key_step)
                j += 16 * tiles
            _softmax_halves(score, key_step, weight, weight_step, n, scale, share)
            pairs, at = (n + 1) // 2, result + i * out_step
            for c in range(0, width - 32, 64):
                _mix_4_halves(weight, weight_step, value + 4 * c, value_step, pairs, share, at + 2 * c, out_step, left)
            if width % 64:
                c = width - 32
                _mix_2_halves(weight, weight_step, value + 4 * c, value_step, pairs, share, at + 2 * c, out_step, left)


@compiled
def _attend_floats(
    qkv: int, out: int, offsets: Int64, heads: int, width: int, places: int, scratch: int, first: int, stop: int
) -> None:
    scale = np.float32(_LOG2_E / np.sqrt(width))
    key, key_step = scratch, 4 * places
    score = key + width * key_step
    share = score + 4 * key_step
    out_step, step = 4 * heads * width, 12 * heads * width
    for task in range(first, stop):
        row, head = task // heads, task % heads
        n = offsets[row + 1] - offsets[row]
        query = qkv + offsets[row] * step + 4 * head * width
        result, value = out + offsets[row] * out_step + 4 * head * width, query + 2 * out_step
        for j in range(0, n, 16):
            for part in range(0, width, 16):
                at = query + out_step + j * step + 4 * part
                _turn(at, step, n - j, key + part * key_step + 4 * j, key_step)
        for i in range(0, n, 4):
            at, left = query + i * step, n - i
            j = 0
            while j < n:
                tiles = _tiles(n - j)
                keys, to = key + 4 * j, score + 4 * j
                if tiles == 4:
                    _scores_4_floats(at, step, left, keys, key_step, width, to, key_step)
                elif tiles == 3:
                    _scores_3_floats(at, step, left, keys, key_step, width, to, key_step)
                elif tiles == 2:
                    _scores_2_floats(at, step, left, keys, key_step, width, to, key_step)
                else:
                    _scores_1_floats(at, step, left, keys, key_step, width, to, key_step)
                j += 16 * tiles
            _softmax_floats(score, key_step, score, key_step, n, scale, share)
            at = result + i * out_step
            for c in range(0, width - 32, 64):
                _mix_4_floats(score, key_step, value + 4 * c, step, n, share, at + 4 * c, out_step, left)
            if width % 64:
                c = width - 32
                _mix_2_floats(score, key_step, value + 4 * c, step, n, share, at + 4 * c, out_step, left)


@compiled
def _tiles(left: int) -> int:
    """Return how many registers of keys to take next: four, but never one alone behind others."""
    tiles = (left + 15) // 16
    return 3 if tiles == 5 else min(tiles, 4)
