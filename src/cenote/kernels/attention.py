"""Attention over packed rows: each row attends to itself alone, and no padding is computed.

    out_i = sum_j softmax_j(q_i . k_j / sqrt(d)) v_j        i, j in one row; every head by itself

A task is one row and one head. Its keys are turned once, so that 16 of them lie across a vector register; then four
queries at a time get their scores, which stay in the first cache, the softmax and the sum of values. In bf16 a step
multiplies pairs (`vdpbf16ps`) and adds in fp32; in fp32 it is a multiply-add. A block that reaches beyond its row
computes the row's last key or query again, so nothing outside a row is ever read.

The inner loops are written as LLVM instructions: their sums must stay in registers, where no array can be held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from cenote.arrays import Int64
from cenote.kernels import threads
from cenote.kernels.compiled import compiled
from cenote.kernels.lanes import (
    EXP2,
    F32,
    FLOATS,
    HALF,
    I32,
    INTS,
    LANES,
    PAIRS,
    WORD,
    Builder,
    Value,
    accumulated,
    call,
    exp2,
    greater,
    load,
    loop,
    mixed,
    plus,
    same,
    spread,
    store,
)
from cenote.kernels.machine import has_wide_vectors

_QUERIES = 4
"""Queries at a time: with four registers of keys, sixteen sums in flight hide the latency of one."""
_LOG2_E = 1.4426950408889634


def computes(dtype: str, dim: int, heads: int) -> bool:
    """Whether the kernel computes a type, "bfloat16" or "float32", on this CPU, and heads of this width."""
    return has_wide_vectors(dtype) and dim % heads == 0 and dim // heads % (2 * LANES) == 0


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


@intrinsic
def _turn(context, rows, step, left, out, out_step):  # type: ignore[no-untyped-def]
    """Write 16 rows of 16 words, `step` bytes apart, as 16 columns, `out_step` bytes apart; `left` rows exist."""

    def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
        rows, step, left, out, out_step = values
        held = [load(builder, _row(builder, rows, step, left, i), INTS) for i in range(LANES)]
        for far in (8, 4, 2, 1):
            low = [lane if lane & far == 0 else LANES + lane - far for lane in range(LANES)]
            high = [lane + far if lane & far == 0 else LANES + lane for lane in range(LANES)]
            for i in range(LANES):
                if i & far == 0:
                    a, b = held[i], held[i + far]
                    held[i], held[i + far] = mixed(builder, a, b, low), mixed(builder, a, b, high)
        for i, column in enumerate(held):
            store(builder, column, builder.add(out, builder.mul(out_step, WORD(i))))
        return ir.Constant(I32, 0)

    return types.int32(rows, step, left, out, out_step), generate


@intrinsic
def _pair(context, first, second, out):  # type: ignore[no-untyped-def]
    """Write 32 halves of two rows in turn: a0 b0 a1 b1 ..."""

    def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
        a, b = (load(builder, address, PAIRS) for address in values[:2])
        for part in range(2):
            order = [lane // 2 + part * LANES + lane % 2 * 2 * LANES for lane in range(2 * LANES)]
            store(builder, mixed(builder, a, b, order), plus(builder, values[2], 64 * part))
        return ir.Constant(I32, 0)

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
                right = [load(builder, plus(builder, line, 64 * t), INTS) for t in range(tiles)]
                found = []
                for r, row in enumerate(rows):
                    word = load(builder, builder.add(row, builder.shl(i, WORD(2))), I32)
                    left = spread(builder, word, INTS)
                    found += [accumulated(builder, sums[r * tiles + t], left, right[t], halves) for t in range(tiles)]
                return found

            sums = loop(builder, steps, [same(0.0)] * (_QUERIES * tiles), body)
            for i, value in enumerate(sums):
                place = builder.add(out, builder.mul(out_step, WORD(i // tiles)))
                store(builder, value, plus(builder, place, 64 * (i % tiles)))
            return ir.Constant(I32, 0)

        return types.int32(queries, step, left, keys, key_step, steps, out, out_step), generate

    return scores


def _softmax(halves: bool) -> Any:
    """Code that turns 4 rows of scores into weights, and writes 1 / their sum, 16 times over, to `inverse`."""

    @intrinsic
    def softmax(context, scores, score_step, out, out_step, keys, scale, inverse):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
            scores, score_step, out, out_step, keys, scale, inverse = values
            lines = [builder.add(scores, builder.mul(score_step, WORD(r))) for r in range(_QUERIES)]
            places = [builder.add(out, builder.mul(out_step, WORD(r))) for r in range(_QUERIES)]
            blocks = builder.ashr(plus(builder, keys, LANES - 1), WORD(4))
            scale = spread(builder, scale, FLOATS)

            def greatest(i: Value, most: list[Value]) -> list[Value]:
                at = builder.shl(i, WORD(6))
                new = [load(builder, builder.add(line, at), FLOATS) for line in lines]
                return [greater(builder, a, b) for a, b in zip(most, new, strict=True)]

            most = loop(builder, blocks, [same(-np.inf)] * _QUERIES, greatest)
            tops = [
                spread(builder, call(builder, "llvm.vector.reduce.fmax.v16f32", F32, value), FLOATS) for value in most
            ]
            bases = [builder.fneg(builder.fmul(top, scale)) for top in tops]
            lanes = ir.Constant(INTS, list(range(LANES)))
            count = spread(builder, builder.trunc(keys, I32), INTS)

            def weigh(i: Value, sums: list[Value]) -> list[Value]:
                at = builder.shl(i, WORD(6))
                number = builder.add(spread(builder, builder.trunc(builder.shl(i, WORD(4)), I32), INTS), lanes)
                inside = builder.icmp_signed("<", number, count)
                found = []
                for r, line in enumerate(lines):
                    score = load(builder, builder.add(line, at), FLOATS)
                    power = call(builder, "llvm.fma.v16f32", FLOATS, score, scale, bases[r])
                    weight = builder.select(inside, exp2(builder, power, EXP2[halves]), same(0.0))
                    found.append(builder.fadd(sums[r], weight))
                    if halves:
                        half = call(builder, "llvm.x86.avx512bf16.cvtneps2bf16.512", HALF, weight)
                        store(builder, half, builder.add(places[r], builder.shl(i, WORD(5))))
                    else:
                        store(builder, weight, builder.add(places[r], at))
                return found

            sums = loop(builder, blocks, [same(0.0)] * _QUERIES, weigh)
            for r, value in enumerate(sums):
                total = call(
                    builder, "llvm.vector.reduce.fadd.v16f32", F32, ir.Constant(F32, -0.0), value, fast=("reassoc",)
                )
                share = builder.fdiv(ir.Constant(F32, 1.0), total)
                store(builder, spread(builder, share, FLOATS), plus(builder, inverse, 64 * r))
            return ir.Constant(I32, 0)

        return types.int32(scores, score_step, out, out_step, keys, scale, inverse), generate

    return softmax


def _mix(columns: int, halves: bool) -> Any:
    """Code for the sums of values, 16 * columns wide, by the weights of 4 queries."""

    @intrinsic
    def mix(context, weights, weight_step, values, value_step, steps, inverse, out, step, left):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, given: Sequence[Value]) -> Value:
            weights, weight_step, values, value_step, steps, inverse, out, step, left = given
            lines = [builder.add(weights, builder.mul(weight_step, WORD(r))) for r in range(_QUERIES)]

            def body(i: Value, sums: list[Value]) -> list[Value]:
                line = builder.add(values, builder.mul(i, value_step))
                right = [load(builder, plus(builder, line, 64 * c), INTS) for c in range(columns)]
                found = []
                for r, weight in enumerate(lines):
                    word = load(builder, builder.add(weight, builder.shl(i, WORD(2))), I32)
                    left = spread(builder, word, INTS)
                    found += [
                        accumulated(builder, sums[r * columns + c], left, right[c], halves) for c in range(columns)
                    ]
                return found

            sums = loop(builder, steps, [same(0.0)] * (_QUERIES * columns), body)
            for r in range(_QUERIES):
                share = load(builder, plus(builder, inverse, 64 * r), FLOATS)
                place = _row(builder, out, step, left, r)
                for c in range(columns):
                    value = builder.fmul(sums[r * columns + c], share)
                    if halves:
                        value = call(builder, "llvm.x86.avx512bf16.cvtneps2bf16.512", HALF, value)
                    store(builder, value, plus(builder, place, (32 if halves else 64) * c))
            return ir.Constant(I32, 0)

        return types.int32(weights, weight_step, values, value_step, steps, inverse, out, step, left), generate

    return mix


def _row(builder: Builder, first: Value, step: Value, left: Value, i: int) -> Value:
    """Return the address of row i, or of the last of the `left` rows that exist."""
    last = builder.sub(left, WORD(1))
    number = builder.select(builder.icmp_signed("<", WORD(i), last), WORD(i), last)
    return builder.add(first, builder.mul(step, number))


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
