"""The inner loops of attention over packed rows, written as LLVM instructions: their sums stay in registers.

    scores = q k'        weights = 2^(scale scores + added - greatest)        out = weights v / sum of weights

Four queries at a time, and a register of keys or values beside each other; see `attention`, which is made of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

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

QUERIES = 4
"""Queries at a time: with four registers of keys, sixteen sums in flight hide the latency of one."""
_SHIFT = LANES.bit_length() - 1
_BYTES = 4 * LANES


@intrinsic
def turn(context, rows, step, left, out, out_step):  # type: ignore[no-untyped-def]
    """Write rows of a register of words, `step` bytes apart, as columns, `out_step` apart; `left` rows exist."""

    def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
        rows, step, left, out, out_step = values
        held = [load(builder, _row(builder, rows, step, left, i), INTS) for i in range(LANES)]
        for far in (1 << bit for bit in reversed(range(_SHIFT))):
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
def pair(context, first, second, out):  # type: ignore[no-untyped-def]
    """Write 32 halves of two rows in turn: a0 b0 a1 b1 ..."""

    def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
        a, b = (load(builder, address, PAIRS) for address in values[:2])
        for part in range(2):
            order = [lane // 2 + part * LANES + lane % 2 * 2 * LANES for lane in range(2 * LANES)]
            store(builder, mixed(builder, a, b, order), plus(builder, values[2], _BYTES * part))
        return ir.Constant(I32, 0)

    return types.int32(first, second, out), generate


def scores_of(tiles: int, halves: bool) -> Any:
    """Code for the products of 4 queries with some registers of turned keys."""

    @intrinsic
    def scores(context, queries, step, left, keys, key_step, steps, out, out_step):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
            queries, step, left, keys, key_step, steps, out, out_step = values
            rows = [_row(builder, queries, step, left, r) for r in range(QUERIES)]

            def body(i: Value, sums: list[Value]) -> list[Value]:
                line = builder.add(keys, builder.mul(i, key_step))
                right = [load(builder, plus(builder, line, _BYTES * t), INTS) for t in range(tiles)]
                found = []
                for r, row in enumerate(rows):
                    word = load(builder, builder.add(row, builder.shl(i, WORD(2))), I32)
                    left = spread(builder, word, INTS)
                    found += [accumulated(builder, sums[r * tiles + t], left, right[t], halves) for t in range(tiles)]
                return found

            sums = loop(builder, steps, [same(0.0)] * (QUERIES * tiles), body)
            for i, value in enumerate(sums):
                place = builder.add(out, builder.mul(out_step, WORD(i // tiles)))
                store(builder, value, plus(builder, place, _BYTES * (i % tiles)))
            return ir.Constant(I32, 0)

        return types.int32(queries, step, left, keys, key_step, steps, out, out_step), generate

    return scores


def softmax_of(halves: bool, added: bool) -> Any:
    """Code that turns 4 rows of scores into weights, and writes 1 / their sum, in every lane, to `inverse`.

    table: the address of what is added to the first row's first score, a float less for each of the `left` rows below.
    """

    @intrinsic
    def softmax(context, scores, score_step, out, out_step, keys, scale, table, left, inverse):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
            scores, score_step, out, out_step, keys, scale, table, left, inverse = values
            lines = [builder.add(scores, builder.mul(score_step, WORD(r))) for r in range(QUERIES)]
            places = [builder.add(out, builder.mul(out_step, WORD(r))) for r in range(QUERIES)]
            blocks = builder.ashr(plus(builder, keys, LANES - 1), WORD(_SHIFT))
            scale = spread(builder, scale, FLOATS)
            nearby = [_row(builder, table, WORD(-4), left, r) for r in range(QUERIES)]
            lanes = ir.Constant(INTS, list(range(LANES)))
            count = spread(builder, builder.trunc(keys, I32), INTS)

            def exist(i: Value) -> Value:
                number = builder.add(spread(builder, builder.trunc(builder.shl(i, WORD(_SHIFT)), I32), INTS), lanes)
                return builder.icmp_signed("<", number, count)

            def greatest(i: Value, most: list[Value]) -> list[Value]:
                at = builder.shl(i, WORD(_SHIFT + 2))
                new = [load(builder, builder.add(line, at), FLOATS) for line in lines]
                if added:
                    inside = exist(i)
                    for r, line in enumerate(lines):
                        more = load(builder, builder.add(nearby[r], at), FLOATS)
                        new[r] = call(builder, "llvm.fma.*", FLOATS, new[r], scale, more)
                        new[r] = builder.select(inside, new[r], same(-np.inf))
                        store(builder, new[r], builder.add(line, at))
                return [greater(builder, a, b) for a, b in zip(most, new, strict=True)]

            most = loop(builder, blocks, [same(-np.inf)] * QUERIES, greatest)
            tops = [spread(builder, call(builder, "llvm.vector.reduce.fmax.*", F32, value), FLOATS) for value in most]
            bases = [builder.fneg(top if added else builder.fmul(top, scale)) for top in tops]

            def weigh(i: Value, sums: list[Value]) -> list[Value]:
                at = builder.shl(i, WORD(_SHIFT + 2))
                inside = None if added else exist(i)
                found = []
                for r, line in enumerate(lines):
                    score = load(builder, builder.add(line, at), FLOATS)
                    if added:
                        power = builder.fadd(score, bases[r])
                        # what is not a number counts as seen, so that it shows
                        inside = builder.fcmp_unordered(">", score, same(-np.inf))
                    else:
                        power = call(builder, "llvm.fma.*", FLOATS, score, scale, bases[r])
                    weight = builder.select(inside, exp2(builder, power, EXP2[halves]), same(0.0))
                    found.append(builder.fadd(sums[r], weight))
                    if halves:
                        half = call(builder, "llvm.x86.avx512bf16.cvtneps2bf16.512", HALF, weight)
                        store(builder, half, builder.add(places[r], builder.shl(i, WORD(_SHIFT + 1))))
                    else:
                        store(builder, weight, builder.add(places[r], at))
                return found

            sums = loop(builder, blocks, [same(0.0)] * QUERIES, weigh)
            for r, value in enumerate(sums):
                zero = ir.Constant(F32, -0.0)
                total = call(builder, "llvm.vector.reduce.fadd.*", F32, zero, value, fast=("reassoc",))
                share = builder.fdiv(ir.Constant(F32, 1.0), total)
                store(builder, spread(builder, share, FLOATS), plus(builder, inverse, _BYTES * r))
            return ir.Constant(I32, 0)

        return types.int32(scores, score_step, out, out_step, keys, scale, table, left, inverse), generate

    return softmax


def mix_of(columns: int, halves: bool) -> Any:
    """Code for the sums of values, some registers wide, by the weights of 4 queries."""

    @intrinsic
    def mix(context, weights, weight_step, values, value_step, steps, inverse, out, step, left):  # type: ignore[no-untyped-def]
        def generate(_: Any, builder: Builder, signature: Any, given: Sequence[Value]) -> Value:
            weights, weight_step, values, value_step, steps, inverse, out, step, left = given
            lines = [builder.add(weights, builder.mul(weight_step, WORD(r))) for r in range(QUERIES)]

            def body(i: Value, sums: list[Value]) -> list[Value]:
                line = builder.add(values, builder.mul(i, value_step))
                right = [load(builder, plus(builder, line, _BYTES * c), INTS) for c in range(columns)]
                found = []
                for r, weight in enumerate(lines):
                    word = load(builder, builder.add(weight, builder.shl(i, WORD(2))), I32)
                    left = spread(builder, word, INTS)
                    found += [
                        accumulated(builder, sums[r * columns + c], left, right[c], halves) for c in range(columns)
                    ]
                return found

            sums = loop(builder, steps, [same(0.0)] * (QUERIES * columns), body)
            for r in range(QUERIES):
                share = load(builder, plus(builder, inverse, _BYTES * r), FLOATS)
                place = _row(builder, out, step, left, r)
                for c in range(columns):
                    value = builder.fmul(sums[r * columns + c], share)
                    if halves:
                        value = call(builder, "llvm.x86.avx512bf16.cvtneps2bf16.512", HALF, value)
                    store(builder, value, plus(builder, place, (_BYTES // 2 if halves else _BYTES) * c))
            return ir.Constant(I32, 0)

        return types.int32(weights, weight_step, values, value_step, steps, inverse, out, step, left), generate

    return mix


def _row(builder: Builder, first: Value, step: Value, left: Value, i: int) -> Value:
    """Return the address of row i, or of the last of the `left` rows that exist."""
    last = builder.sub(left, WORD(1))
    number = builder.select(builder.icmp_signed("<", WORD(i), last), WORD(i), last)
    return builder.add(first, builder.mul(step, number))
