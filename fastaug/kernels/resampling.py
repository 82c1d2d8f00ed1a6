"""Pictures made smaller or larger along rows and columns: crops, resizing, letterboxes.

A row of the output is blended of the source's rows first, which is one straight run over memory,
and then its pixels are blended of those.  The filter is Pillow's BILINEAR (`Image.resize`, version
13): a triangle as wide as two pixels of the source, or, with `antialias`, of the output where that
is smaller; at the edges its weights are those of the pixels there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastaug.kernels import quads
from fastaug.kernels.launch import inlined, inner


class Taps(NamedTuple):
    """Which pixels of an axis make each pixel of the output, and their weights."""

    starts: np.ndarray  # (n,) int64
    counts: np.ndarray  # (n,) int64: 0 for a pixel that lies outside
    weights: np.ndarray  # (n, most) float32


@inlined
def make_taps(count, most):
    """Allocate taps for so many pixels."""
    return Taps(
        np.empty(count, np.int64), np.empty(count, np.int64), np.empty((count, most), np.float32)
    )


@inner
def find_taps(first, step, flipped, count, length, antialias, clamps, taps):
    """Find the taps of `count` pixels of an axis.

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
    starts, counts, weights = taps
    spread = max(abs(step), 1.0) if antialias else 1.0
    for k in range(count):
        place = first + step * (count - 1 - k if flipped else k)
        if clamps:
            place = min(max(place, 0.0), length - 1.0)
        if not (-0.5 <= place <= length - 0.5):
            starts[k], counts[k] = 0, 0
            continue
        begin = max(0, int(np.floor(place - spread + 1.0)))
        end = min(length, int(np.floor(place + spread + 1.0)))
        end = max(end, begin + 1)
        total = 0.0
        for tap in range(begin, end):
            weight = max(0.0, 1.0 - abs(tap - place) / spread)
            weights[k, tap - begin] = weight
            total += weight
        for tap in range(end - begin):
            weights[k, tap] = weights[k, tap] / total if total > 0 else 1.0 / (end - begin)
        starts[k], counts[k] = begin, end - begin


@inner
def columns_needed(cols, count):
    """Return from which column of the source to which the taps reach."""
    low, high = 2**62, 0
    for k in range(count):
        if cols.counts[k]:
            low = min(low, cols.starts[k])
            high = max(high, cols.starts[k] + cols.counts[k])
    return min(low, high), high


@inner
def blend_rows(source, shape, planar, start, count, weights, first, last, out):
    """Blend columns `first` to `last` of `count` rows of a source into `out`, a row of it.

    `source` is flat, as it lies in memory.
    """
    height, width, channels = shape
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
def blend_columns(line, channels, cols, count, cval, out):
    """Blend the pixels of a row of float32 into `count` pixels of `out`, pixel by pixel."""
    for k in range(count):
        place, begin = k * channels, cols.starts[k] * channels
        for channel in range(channels):
            value = np.float32(0)
            for tap in range(cols.counts[k]):
                value += cols.weights[k, tap] * line[np.uintp(begin + tap * channels + channel)]
            out[np.uintp(place + channel)] = value if cols.counts[k] else cval


@inner
def blend_quads(line, channels, cols, count, cval, out):
    """Do the same for up to four channels; `line` and `out` are four numbers longer."""
    starts, counts, weights = cols
    for k in range(count):
        begin, taps = starts[k] * channels, counts[k]
        if taps == 0:
            for channel in range(channels):
                out[np.uintp(k * channels + channel)] = cval
            continue
        value = quads.load(line, begin) * quads.spread(weights[k, 0])
        for tap in range(1, taps):
            near = quads.load(line, begin + tap * channels)
            value = value + near * quads.spread(weights[k, tap])
        quads.store(value, out, k * channels)


@inlined
def resample_rows(
    source,
    shape,
    planar,
    rows,
    cols,
    needed,
    width,
    scalar,
    cval,
    line,
    pixels,
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
    rows, cols, needed
        The `Taps` of the axes, and the columns of the source that they reach.
    scalar
        Whether to do without vector registers: more than four channels, or no compiler.
    cval
        What pixels outside get.
    line, pixels
        Scratch memory, float32: a row of the source and one of the output, and four numbers more.
    out, start
        Flat, and where in it the first row begins.
    """
    channels = shape[2]
    for row in range(first, last):
        if rows.counts[row] == 0:
            for k in range(width * channels):
                out[np.uintp(start + k)] = cval
            start += width * channels
            continue
        weights = rows.weights[row]
        begin, end = needed
        blend_rows(
            source, shape, planar, rows.starts[row], rows.counts[row], weights, begin, end, line
        )
        if scalar:
            blend_columns(line, channels, cols, width, cval, pixels)
        else:
            blend_quads(line, channels, cols, width, cval, pixels)
        for k in range(width * channels):
            out[np.uintp(start + k)] = pixels[np.uintp(k)]
        start += width * channels
