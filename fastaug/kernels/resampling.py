"""Pictures made smaller or larger along rows and columns: crops, resizing, letterboxes.

A row of the output is blended of the source's rows first, which is one straight run over memory,
and then its pixels are blended of those.  The filter is Pillow's BILINEAR (`Image.resize`, version
13): a triangle as wide as two pixels of the source, or, with `antialias`, of the output where that
is smaller; at the edges its weights are those of the pixels there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels import quads
from fastaug.kernels.launch import inlined, inner


class Taps(NamedTuple):
    """Which pixels of an axis make each pixel of the output, and their weights."""

    starts: np.ndarray  # (n,) int64
    outside: np.ndarray  # (n + 1,) bool: those that show nothing of the source; last, if any does
    weights: np.ndarray  # (n, most) float32: the same number for all, 0 where there are fewer


@inlined
def make_taps(count, most):
    """Allocate taps for so many pixels."""
    return Taps(
        np.empty(count, np.int64),
        np.empty(count + 1, np.bool_),
        np.empty((count, most), np.float32),
    )


@inner
def find_taps(first, step, flipped, count, length, antialias, clamps, taps):
    """Find the taps of `count` pixels of an axis; return how many each of them has.

    Parameters
    ----------
    first, step
        Pixel k is at `first + step * k` of the source, in pixels whose centres are whole numbers.
    flipped
        Whether k counts from the end.
    length
        Pixels of the source.
    antialias
        Whether the filter is as wide as a pixel of the output, where that is larger.
    clamps
        Whether pixels outside show the edge.
    """
    starts, outside, weights = taps
    spread = max(abs(step), 1.0) if antialias else 1.0
    # Where all pixels lie on one of the source, it is the only tap.
    whole = step == 1.0 and first == np.floor(first)
    number = 1 if whole else int(np.ceil(2.0 * spread))
    # An even number of taps, some with a weight of 0, is as fast as the odd one below it.
    number = 1 if whole else min(length, number + number % 2)
    any_outside = False
    for k in range(count):
        place = first + step * (count - 1 - k if flipped else k)
        if clamps:
            place = min(max(place, 0.0), length - 1.0)
        outside[k] = not (-0.5 <= place <= length - 0.5)
        any_outside = any_outside or outside[k]
        place = min(max(place, -0.5), length - 0.5)
        begin = max(0, int(np.floor(place - spread + 1.0)))
        if whole:
            begin = int(place)
        starts[k] = begin = min(begin, length - number)
        total = 0.0
        for tap in range(number):
            weight = 1.0 if whole else max(0.0, 1.0 - abs(begin + tap - place) / spread)
            weights[k, tap] = weight
            total += weight
        for tap in range(number):
            weights[k, tap] /= total
    outside[-1] = any_outside
    return number


@inner
def columns_needed(cols, count, number):
    """Return from which column of the source to which the taps reach."""
    low, high = cols.starts[0], cols.starts[0]
    for k in range(count):
        low, high = min(low, cols.starts[k]), max(high, cols.starts[k])
    return low, high + number


@inner
def blend_rows(source, shape, planar, start, count, weights, first, last, out):
    """Blend columns `first` to `last` of `count` rows of a source into `out`, a row of it.

    `source` is flat, as it lies in memory.
    """
    height, width, channels = shape
    if not planar and count > 1:
        length, row = width * channels, start * width * channels
        begin, end = first * channels, last * channels
        blend_two(source, row, row + length, weights[0], weights[1], begin, end, out)
        for tap in range(2, count - 1, 2):
            row += 2 * length
            one, other = weights[tap], weights[tap + 1]
            add_two(source, row, row + length, one, other, begin, end, out)
        if count % 2:
            row = (start + count - 1) * length
            for k in range(begin, end):
                out[np.uintp(k)] += weights[count - 1] * np.float32(source[np.uintp(row + k)])
        return
    planes, step = (channels, channels) if planar else (1, 1)
    length = width if planar else width * channels
    begin, end = (first, last) if planar else (first * channels, last * channels)
    for plane in range(planes):
        for tap in range(count):
            row = (plane * height + start + tap) * length
            weight = weights[tap]
            if planar:
                for k in range(begin, end):
                    value = weight * np.float32(source[np.uintp(row + k)])
                    place = np.uintp(k * step + plane)
                    out[place] = value if tap == 0 else out[place] + value
            elif tap == 0:
                for k in range(begin, end):
                    out[np.uintp(k)] = weight * np.float32(source[np.uintp(row + k)])
            else:
                for k in range(begin, end):
                    out[np.uintp(k)] += weight * np.float32(source[np.uintp(row + k)])


@inner
def blend_two(source, upper, lower, first, second, begin, end, out):
    """Blend values of two rows of a flat source, in one go."""
    for k in range(begin, end):
        above, below = source[np.uintp(upper + k)], source[np.uintp(lower + k)]
        out[np.uintp(k)] = first * np.float32(above) + second * np.float32(below)


@inner
def add_two(source, upper, lower, first, second, begin, end, out):
    """Add values of two more rows."""
    for k in range(begin, end):
        above, below = source[np.uintp(upper + k)], source[np.uintp(lower + k)]
        # One after the other, as planes do it: the same bits.
        one = out[np.uintp(k)] + first * np.float32(above)
        out[np.uintp(k)] = one + second * np.float32(below)


@inner
def blend_columns(line, channels, cols, number, count, out, start):
    """Blend the pixels of a row of float32 into `count` pixels of `out`, pixel by pixel."""
    for k in range(count):
        place, begin = start + k * channels, cols.starts[k] * channels
        for channel in range(channels):
            value = np.float32(0)
            for tap in range(number):
                value += cols.weights[k, tap] * line[np.uintp(begin + tap * channels + channel)]
            out[np.uintp(place + channel)] = value


@inner
def near(line, begin, tap, channels, weights, k):
    """Return a tap of a pixel, times its weight."""
    weight = quads.spread(weights[np.uintp(k), np.uintp(tap)])
    return quads.load(line, begin + tap * channels) * weight


@inner
def with_tap(value, line, begin, tap, channels, weights, k):
    """Return a value with a tap added."""
    weight = quads.spread(weights[np.uintp(k), np.uintp(tap)])
    return quads.fused(quads.load(line, begin + tap * channels), weight, value)


@inner
def with_pair(value, line, begin, tap, channels, weights, k):
    """Return a value with two taps added."""
    value = with_tap(value, line, begin, tap, channels, weights, k)
    return with_tap(value, line, begin, tap + 1, channels, weights, k)


@inner
def blend_quads(line, channels, cols, number, count, out, start):
    """Do the same for up to four channels; `line` and `out` are four numbers longer."""
    starts, weights = cols.starts, cols.weights
    if number == 2:  # without a loop a pixel takes half the time
        for k in range(count):
            begin = starts[np.uintp(k)] * channels
            value = near(line, begin, 0, channels, weights, k)
            value = with_tap(value, line, begin, 1, channels, weights, k)
            quads.store(value, out, start + k * channels)
    elif number == 4:
        for k in range(count):
            begin = starts[np.uintp(k)] * channels
            value = near(line, begin, 0, channels, weights, k)
            value = with_tap(value, line, begin, 1, channels, weights, k)
            value = with_pair(value, line, begin, 2, channels, weights, k)
            quads.store(value, out, start + k * channels)
    elif number == 6:
        for k in range(count):
            begin = starts[np.uintp(k)] * channels
            value = near(line, begin, 0, channels, weights, k)
            value = with_tap(value, line, begin, 1, channels, weights, k)
            value = with_pair(value, line, begin, 2, channels, weights, k)
            value = with_pair(value, line, begin, 4, channels, weights, k)
            quads.store(value, out, start + k * channels)
    else:
        for k in range(count):
            begin = starts[np.uintp(k)] * channels
            value = near(line, begin, 0, channels, weights, k)
            for tap in range(1, number):
                value = with_tap(value, line, begin, tap, channels, weights, k)
            quads.store(value, out, start + k * channels)


def blend_fast(line, channels, cols, number, count, out, start):
    """Blend the pixels of a row into pixels of up to four channels, the fastest way there is."""
    blend_columns(line, channels, cols, number, count, out, start)


@overload(blend_fast)
def _blend_fast(line, channels, cols, number, count, out, start):
    if out.dtype == types.float32:
        return blend_quads.py_func
    return blend_columns.py_func


@inner
def fill_row(cols, channels, count, cval, out, start):
    """Put `cval` where pixels of a row show nothing of the source."""
    for k in range(count):
        if cols.outside[np.uintp(k)]:
            for channel in range(channels):
                out[np.uintp(start + k * channels + channel)] = cval


@inner
def resample_rows(
    source,
    shape,
    planar,
    rows,
    cols,
    numbers,
    needed,
    width,
    scalar,
    cval,
    line,
    out,
    start,
    first,
    last,
):
    """Fill rows, from `first` to `last`, of pictures so wide with the source, resampled.

    Parameters
    ----------
    source, shape, planar
        Flat, as it lies in memory; its height, width and channels; whether channels come first.
    rows, cols, numbers, needed
        The `Taps` of the axes, how many a pixel has, and the columns of the source that they reach.
    scalar
        Whether to do without vector registers: more than four channels, or no compiler.
    cval
        What pixels outside get.
    line
        Scratch memory, float32: a row of the source and four numbers more.
    out, start
        Flat, four numbers longer, and where in it the first row begins.
    """
    channels = shape[2]
    begin, end = needed
    for row in range(first, last):
        if rows.outside[row]:
            for k in range(width * channels):
                out[np.uintp(start + k)] = cval
        else:
            weights = rows.weights[row]
            blend_rows(
                source, shape, planar, rows.starts[row], numbers[0], weights, begin, end, line
            )
            if scalar:
                blend_columns(line, channels, cols, numbers[1], width, out, start)
            else:
                blend_fast(line, channels, cols, numbers[1], width, out, start)
            if cols.outside[-1]:
                fill_row(cols, channels, width, cval, out, start)
        start += width * channels
