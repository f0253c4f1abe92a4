"""Loops over the windows of planes of float32, from numba; a loop does the planes from `first` up to `last`.

window int64 (3, 2): kernel, stride and padding of rows and of columns. What has a value a cell is (P, H, W), what has
one a window (P, H_out, W_out). Rows of a window are joined first, as numbers behind each other become vectors; then
columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from cenote.arrays import Float32, Int64
from cenote.kernels.compiled import compiled_sums

_ONE, _ZERO, _NONE = np.float32(1), np.float32(0), np.float32(np.nan)


@compiled_sums
def _reach(at: int, kernel: int, stride: int, padding: int, size: int) -> tuple[int, int]:
    """Return the first cell of a window on one axis, and the one behind the last."""
    start = at * stride - padding
    return max(start, 0), min(start + kernel, size)


@compiled_sums
def means(window: Int64, x: Float32, out: Float32, first: int, last: int) -> None:
    """Write to out the mean of each window."""
    height, width = x.shape[1], x.shape[2]
    joined = np.empty(width, np.float32)
    for p in range(first, last):
        for i in range(out.shape[1]):
            top, bottom = _reach(i, window[0, 0], window[1, 0], window[2, 0], height)
            joined[:] = x[p, top]
            for n in range(top + 1, bottom):
                row = x[p, n]
                for j in range(width):
                    joined[j] += row[j]
            for o in range(out.shape[2]):
                left, right = _reach(o, window[0, 1], window[1, 1], window[2, 1], width)
                total = _ZERO
                for j in range(left, right):
                    total += joined[j]
                out[p, i, o] = total / np.float32((bottom - top) * (right - left))


@compiled_sums
def mean_slopes(window: Int64, slope: Float32, out: Float32, first: int, last: int) -> None:
    """Write to out, a value a cell, what the windows of a cell hand it of their slope."""
    height, width = out.shape[1], out.shape[2]
    joined = np.empty(width, np.float32)
    for p in range(first, last):
        out[p] = _ZERO
        for i in range(slope.shape[1]):
            top, bottom = _reach(i, window[0, 0], window[1, 0], window[2, 0], height)
            joined[:] = _ZERO
            for o in range(slope.shape[2]):
                left, right = _reach(o, window[0, 1], window[1, 1], window[2, 1], width)
                share = slope[p, i, o] / np.float32((bottom - top) * (right - left))
                for j in range(left, right):
                    joined[j] += share
            for n in range(top, bottom):
                row = out[p, n]
                for j in range(width):
                    row[j] += joined[j]


@cache
def extreme(sign: int) -> Callable[..., None]:
    """Return the loop that writes to out the greatest value of each window, the least where sign is -1.

    What is no number is beyond any.
    """
    by = np.float32(sign)

    @compiled_sums
    def loop(window: Int64, x: Float32, out: Float32, first: int, last: int) -> None:
        height, width = x.shape[1], x.shape[2]
        joined = np.empty(width, np.float32)
        for p in range(first, last):
            for i in range(out.shape[1]):
                top, bottom = _reach(i, window[0, 0], window[1, 0], window[2, 0], height)
                joined[:] = x[p, top]
                for n in range(top + 1, bottom):
                    row = x[p, n]
                    for j in range(width):
                        joined[j] = joined[j] if (by * joined[j] >= by * row[j]) | (joined[j] != joined[j]) else row[j]
                for o in range(out.shape[2]):
                    left, right = _reach(o, window[0, 1], window[1, 1], window[2, 1], width)
                    most = joined[left]
                    for j in range(left + 1, right):
                        most = most if (by * most >= by * joined[j]) | (most != most) else joined[j]
                    out[p, i, o] = most

    return loop  # type: ignore[no-any-return]


@compiled_sums
def shared_by_reaching(
    window: Int64, x: Float32, most: Float32, slope: Float32, out: Float32, first: int, last: int
) -> None:
    """Write to out, a value a cell, the slopes of the windows whose most it reaches, in equal shares."""
    height, width, across = x.shape[1], x.shape[2], most.shape[2]
    apart = -(-window[0, 1] // window[1, 1])  # windows o, o + apart, … of a row have no column in common
    of_column = np.full((apart, width), across)  # the window of a column, one behind the last for none
    for o in range(across):
        left, right = _reach(o, window[0, 1], window[1, 1], window[2, 1], width)
        of_column[o % apart, left:right] = o
    times, share, reached = np.empty(width, np.float32), np.empty(across + 1, np.float32), np.empty(width, np.float32)
    for p in range(first, last):
        out[p] = _ZERO
        for i in range(most.shape[1]):
            top, bottom = _reach(i, window[0, 0], window[1, 0], window[2, 0], height)
            tops, whole = most[p, i], slope[p, i]
            for start in range(apart):
                windows = of_column[start]
                times[:] = _ZERO
                for j in range(width):
                    reached[j] = tops[windows[j]] if windows[j] < across else _NONE
                for n in range(top, bottom):
                    row = x[p, n]
                    for j in range(width):
                        times[j] += _ONE if row[j] == reached[j] else _ZERO
                share[:] = _ZERO
                for j in range(width):
                    share[windows[j]] += times[j]
                for o in range(across):
                    share[o] = whole[o] / max(share[o], _ONE)
                for j in range(width):
                    times[j] = share[windows[j]]
                for n in range(top, bottom):
                    row, slopes = x[p, n], out[p, n]
                    for j in range(width):
                        slopes[j] += times[j] if row[j] == reached[j] else _ZERO
