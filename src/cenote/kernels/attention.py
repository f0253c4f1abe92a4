"""Attention over packed rows: each row attends to itself alone, and no padding is computed.

    out_i = sum_j softmax_j(scale q_i . k_j + added_(j - i)) v_j     i, j in one row; every head by itself

A task is one row and one head of keys. Its keys are turned once, so that a register holds one number of as many keys as
it has lanes; then four queries at a time get their scores, which stay in the first cache, the softmax and the sum of
values. In bf16 a step multiplies pairs (`vdpbf16ps`) and adds in fp32; in fp32 it is a multiply-add. A block that
reaches beyond its row computes the row's last key or query again, so nothing outside a row is ever read.

What a query sees of its row, and any bias by distance, is one table, `added`, -inf for what is not seen; keys that none
of four queries sees are not computed. The inner loops are written as LLVM instructions: their sums must stay in
registers, where no array can be held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cenote.arrays import Float32, Int64
from cenote.kernels import threads
from cenote.kernels.attention_steps import mix_of, pair, scores_of, softmax_of, turn
from cenote.kernels.compiled import compiled
from cenote.kernels.lanes import LANES
from cenote.kernels.machine import vector_lanes

_TILES, _COLUMNS = (4, 4) if LANES == 16 else (3, 2)
"""Registers of keys and of values beside four queries: with AVX2 there are 16 registers, not 32."""
_WIDE = _COLUMNS * LANES
_ROOM = 16
"""Lanes of the widest registers: places are left for them whatever this machine has."""
_ALL = 2**40
_LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Added:
    """What is added to the scores at each distance of a key from its query, in (H, 2 P + 1) or (1, 2 P + 1).

    table[h, P + distance]: for |distance| <= P, -inf where a key is not seen. before, after: keys that a query sees at
    most on either side, None for all; the table says the same.
    """

    table: Float32
    before: int | None = None
    after: int | None = None


def computes(dtype: str, width: int) -> bool:
    """Whether the kernel computes a type, "bfloat16" or "float32", on this CPU, and heads of this width."""
    return vector_lanes(dtype) > 0 and width % (2 * LANES) == 0


def attend(
    qkv: Tensor,
    offsets: Int64,
    heads: int,
    *,
    key_heads: int | None = None,
    scale: float | None = None,
    added: Added | None = None,
) -> Tensor:
    """Return (M, H d) for qkv (M, (H + 2 G) d), queries, keys and values side by side; bf16 or fp32, see `computes`.

    offsets: int64 (B + 1), the rows' borders in numpy. key_heads: G, each for H / G heads of queries that follow each
    other; by default H. scale: by default 1 / sqrt(d). added: by default nothing, and every key is seen.

    Raises ValueError for a table that is shorter than the longest row.
    """
    groups = key_heads or heads
    width = qkv.shape[1] // (heads + 2 * groups)
    qkv = qkv.contiguous()
    out = qkv.new_empty(len(qkv), heads * width)
    kernel = _attend_halves if qkv.dtype == torch.bfloat16 else _attend_floats
    longest = int(np.diff(offsets).max(initial=0))
    places = (longest + _ROOM - 1) // _ROOM * _ROOM
    table, row, before, after = _table(added, longest)
    middle = table.ctypes.data + 4 * (table.shape[1] // 2) if added else 0
    power = np.float32(_LOG2_E * (width**-0.5 if scale is None else scale))

    def run(first: int, stop: int) -> None:
        # turned keys, paired values, scores, weights, shares; torch aligns to a line of the cache, numpy does not
        scratch = torch.empty(places * (4 * width + 32) + 256, dtype=torch.uint8)
        at = qkv.data_ptr(), out.data_ptr(), scratch.data_ptr(), middle
        kernel(*at, offsets, heads, groups, width, places, power, row, before, after, first, stop)

    threads.over_ranges(run, (len(offsets) - 1) * groups, least=groups)
    return out


def _table(added: Added | None, longest: int) -> tuple[Float32, int, int, int]:
    """Return (H, 2 P + 1) in powers of two, bytes from a head to the next, and the keys seen before and after."""
    if added is None:
        return np.zeros((1, 1), np.float32), 0, _ALL, _ALL
    reach = added.table.shape[1] // 2
    if reach < longest - 1:
        raise ValueError(f"added reaches {reach} tokens far, but a row has {longest}; pass a longer table")
    # a block may reach beyond its row by some queries and a register of keys, which are computed for nothing
    far = longest + _ROOM
    table = np.full((len(added.table), 2 * far + 1), -np.inf, np.float32)
    held = min(reach, far)
    table[:, far - held : far + held + 1] = added.table[:, reach - held : reach + held + 1] * np.float32(_LOG2_E)
    row = 4 * table.shape[1] if len(table) > 1 else 0
    return table, row, _ALL if added.before is None else added.before, _ALL if added.after is None else added.after


_scores_1_halves, _scores_2_halves, _scores_3_halves = (scores_of(n, True) for n in (1, 2, 3))
_scores_1_floats, _scores_2_floats, _scores_3_floats = (scores_of(n, False) for n in (1, 2, 3))
_scores_4_halves, _scores_4_floats = scores_of(_TILES, True), scores_of(_TILES, False)
_softmax_halves, _softmax_floats = softmax_of(True, False), softmax_of(False, False)
_softmax_added_halves, _softmax_added_floats = softmax_of(True, True), softmax_of(False, True)
_mix_wide_halves, _mix_2_halves = mix_of(_COLUMNS, True), mix_of(2, True)
_mix_wide_floats, _mix_2_floats = mix_of(_COLUMNS, False), mix_of(2, False)


@compiled
def _attend_halves(
    qkv: int,
    out: int,
    scratch: int,
    middle: int,
    offsets: Int64,
    heads: int,
    groups: int,
    width: int,
    places: int,
    scale: np.float32,
    table_row: int,
    before: int,
    after: int,
    first: int,
    stop: int,
) -> None:
    key, key_step, value_step, weight_step = scratch, 4 * places, 4 * width, 2 * places
    value = key + width // 2 * key_step
    score = value + places // 2 * value_step
    weight, share = score + 4 * key_step, score + 6 * key_step
    out_step, step = 2 * heads * width, 2 * (heads + 2 * groups) * width
    for task in range(first, stop):
        row, group = task // groups, task % groups
        n = offsets[row + 1] - offsets[row]
        origin = qkv + offsets[row] * step
        keys = origin + 2 * (heads + group) * width
        values = keys + 2 * groups * width
        for j in range(0, n, LANES):
            for part in range(0, width // 2, LANES):
                at = keys + j * step + 4 * part
                turn(at, step, n - j, key + part * key_step + 4 * j, key_step)
        for j in range(0, n, 2):
            for part in range(0, width, 2 * LANES):
                at = values + j * step + 2 * part
                pair(at, at + min(1, n - 1 - j) * step, value + j // 2 * value_step + 4 * part)
        for head in range(group * heads // groups, (group + 1) * heads // groups):
            query, result = origin + 2 * head * width, out + offsets[row] * out_step + 2 * head * width
            for i in range(0, n, 4):
                # the keys that one of these queries sees
                begun, end = max(0, i - before) // LANES * LANES, min(n, i + 4 + after)
                at, left = query + i * step, n - i
                j = begun
                while j < end:
                    tiles = _tiles(end - j)
                    block, to = key + 4 * j, score + 4 * (j - begun)
                    if tiles == 4:
                        _scores_4_halves(at, step, left, block, key_step, width // 2, to, key_step)
                    elif tiles == 3:
                        _scores_3_halves(at, step, left, block, key_step, width // 2, to, key_step)
                    elif tiles == 2:
                        _scores_2_halves(at, step, left, block, key_step, width // 2, to, key_step)
                    else:
                        _scores_1_halves(at, step, left, block, key_step, width // 2, to, key_step)
                    j += LANES * tiles
                if middle:
                    near = middle + head * table_row + 4 * (begun - i)
                    _softmax_added_halves(score, key_step, weight, weight_step, end - begun, scale, near, left, share)
                else:
                    _softmax_halves(score, key_step, weight, weight_step, end - begun, scale, 0, left, share)
                steps, line = (end - begun + 1) // 2, value + begun // 2 * value_step
                at = result + i * out_step
                for c in range(0, width - _WIDE + 1, _WIDE):
                    _mix_wide_halves(
                        weight, weight_step, line + 4 * c, value_step, steps, share, at + 2 * c, out_step, left
                    )
                if width % _WIDE:
                    c = width - 2 * LANES
                    _mix_2_halves(
                        weight, weight_step, line + 4 * c, value_step, steps, share, at + 2 * c, out_step, left
                    )


@compiled
def _attend_floats(
    qkv: int,
    out: int,
    scratch: int,
    middle: int,
    offsets: Int64,
    heads: int,
    groups: int,
    width: int,
    places: int,
    scale: np.float32,
    table_row: int,
    before: int,
    after: int,
    first: int,
    stop: int,
) -> None:
    key, key_step = scratch, 4 * places
    score = key + width * key_step
    share = score + 4 * key_step
    out_step, step = 4 * heads * width, 4 * (heads + 2 * groups) * width
    for task in range(first, stop):
        row, group = task // groups, task % groups
        n = offsets[row + 1] - offsets[row]
        origin = qkv + offsets[row] * step
        keys = origin + 4 * (heads + group) * width
        value = keys + 4 * groups * width
        for j in range(0, n, LANES):
            for part in range(0, width, LANES):
                at = keys + j * step + 4 * part
                turn(at, step, n - j, key + part * key_step + 4 * j, key_step)
        for head in range(group * heads // groups, (group + 1) * heads // groups):
            query, result = origin + 4 * head * width, out + offsets[row] * out_step + 4 * head * width
            for i in range(0, n, 4):
                # the keys that one of these queries sees
                begun, end = max(0, i - before) // LANES * LANES, min(n, i + 4 + after)
                at, left = query + i * step, n - i
                j = begun
                while j < end:
                    tiles = _tiles(end - j)
                    block, to = key + 4 * j, score + 4 * (j - begun)
                    if tiles == 4:
                        _scores_4_floats(at, step, left, block, key_step, width, to, key_step)
                    elif tiles == 3:
                        _scores_3_floats(at, step, left, block, key_step, width, to, key_step)
                    elif tiles == 2:
                        _scores_2_floats(at, step, left, block, key_step, width, to, key_step)
                    else:
                        _scores_1_floats(at, step, left, block, key_step, width, to, key_step)
                    j += LANES * tiles
                if middle:
                    near = middle + head * table_row + 4 * (begun - i)
                    _softmax_added_floats(score, key_step, score, key_step, end - begun, scale, near, left, share)
                else:
                    _softmax_floats(score, key_step, score, key_step, end - begun, scale, 0, left, share)
                steps, line = end - begun, value + begun * step
                at = result + i * out_step
                for c in range(0, width - _WIDE + 1, _WIDE):
                    to = at + 4 * c
                    _mix_wide_floats(score, key_step, line + 4 * c, step, steps, share, to, out_step, left)
                if width % _WIDE:
                    c = width - 2 * LANES
                    to = at + 4 * c
                    _mix_2_floats(score, key_step, line + 4 * c, step, steps, share, to, out_step, left)


@compiled
def _tiles(left: int) -> int:
    """Return how many registers of keys to take next: as many as fit, but never one alone behind others."""
    tiles = (left + LANES - 1) // LANES
    return _TILES - 1 if tiles == _TILES + 1 else min(tiles, _TILES)
