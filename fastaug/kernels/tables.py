"""Colours of bytes by tables: steps that look at one value are done to all 256 of them, once.

An image of bytes that is not moved needs no arithmetic then: its values are counted, where a step
needs a statistic, and looked up.  The tables hold what the steps give for each value, to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from fastaug.kernels.colours import (
    ADD,
    BLEND_MEAN,
    BLUE,
    DROP,
    EQUALIZE,
    GAMMA,
    GREEN,
    INVERT,
    POSTERIZE,
    RED,
    SCALE,
    SOLARIZE,
    STRETCH,
    change_planes,
    clear,
    colours_of,
    in_steps,
    needs_statistic,
    prepare,
)
from fastaug.kernels.launch import inlined, inner
from fastaug.kernels.pointwise import NOTHING
from fastaug.kernels.storing import encode, nearest_byte


class Tables(NamedTuple):
    """Scratch memory of a thread."""

    levels: np.ndarray  # (channels, 256) in the dtype of the computation: what values have become
    counts: np.ndarray  # (channels, 256) int64: of the source
    odd: np.ndarray  # the same: every other pixel is counted apart, so that none waits
    bytes: np.ndarray  # (channels, 256) uint8


@inlined
def make_tables(channels, dtype):
    """Allocate a thread's scratch memory."""
    return Tables(
        np.empty((channels, 256), dtype),
        np.empty((channels, 256), np.int64),
        np.empty((channels, 256), np.int64),
        np.empty((channels, 256), np.uint8),
    )


@inner
def pays(codes):
    """Tell whether tables can be used, and pay: arithmetic is faster than looking up.

    All steps must look at one value only, and at nothing beside its statistics.
    """
    paid = False
    for k in range(len(codes)):
        code = codes[k]
        paid = paid or code == EQUALIZE or code == STRETCH or code == GAMMA  # noqa: PLR1714
        if not (
            code == NOTHING  # noqa: PLR1714 - Numba would compile `in` first, as a function
            or code == SCALE
            or code == BLEND_MEAN
            or code == GAMMA
            or code == INVERT
            or code == POSTERIZE
            or code == SOLARIZE
            or code == STRETCH
            or code == EQUALIZE
            or code == ADD
            or code == DROP
        ):
            return False
    return paid


def look_up_bytes(image, planar, codes, numbers, noted, tables, out):
    """Do the steps to an image by tables, and tell whether that was done: to bytes alone."""
    if image.dtype != np.uint8 or out.dtype != np.uint8:
        return False
    _look_up_bytes(image, planar, codes, numbers, noted, tables, out)
    return True


@overload(look_up_bytes)
def _overload_look_up_bytes(image, planar, codes, numbers, noted, tables, out):
    if image.dtype.name != "uint8" or out.dtype.name != "uint8":
        return lambda image, planar, codes, numbers, noted, tables, out: False

    def run(image, planar, codes, numbers, noted, tables, out):
        _look_up_bytes(image, planar, codes, numbers, noted, tables, out)
        return True

    return run


@inner
def _look_up_bytes(image, planar, codes, numbers, noted, tables, out):
    channels = len(tables.levels)
    pixels = image.size // channels
    source, target = image.reshape(-1), out.reshape(-1)
    for channel in range(channels):
        for level in range(256):
            tables.levels[channel, level] = level
    counted = False
    for k in range(len(codes)):
        if needs_statistic(codes[k]):
            if not counted:
                count_bytes(source, planar, channels, pixels, tables)
                counted = True
            clear(noted)
            note_levels(codes[k], tables, noted)
            prepare(codes[k], pixels, noted)
        if codes[k] != NOTHING:
            change_planes(tables.levels, 0, 256, codes[k], numbers[k], noted.curves[k], noted)
    for channel in range(channels):
        for level in range(256):
            tables.bytes[channel, level] = encode(tables.levels[channel, level], tables.bytes)
    put_bytes(source, planar, channels, pixels, tables.bytes, target)


@inner
def count_bytes(source, planar, channels, pixels, tables):
    """Count the values of each channel of a flat image."""
    counts, odd = tables.counts, tables.odd
    for channel in range(channels):
        for level in range(256):
            counts[channel, level] = 0
            odd[channel, level] = 0
    step, apart = (1, pixels) if planar else (channels, 1)
    for channel in range(channels):
        even_counts, odd_counts, begin = counts[channel], odd[channel], channel * apart
        for k in range(0, pixels - 1, 2):
            even_counts[source[np.uintp(begin + k * step)]] += 1
            odd_counts[source[np.uintp(begin + (k + 1) * step)]] += 1
        if pixels % 2:
            even_counts[source[np.uintp(begin + (pixels - 1) * step)]] += 1
        for level in range(256):
            even_counts[level] += odd_counts[level]


@inner
def note_levels(code, tables, noted):
    """Note the statistic that a step needs, of what the image's values have become."""
    levels, counts = tables.levels, tables.counts
    channels = len(levels)
    if code == BLEND_MEAN:
        sums = np.zeros(channels)
        for channel in range(channels):
            total = np.int64(0)
            for level in range(256):
                total += counts[channel, level] * in_steps(levels[channel, level])
            sums[channel] = total / 64.0
        if channels == 3 or channels == 4:  # noqa: PLR1714, SIM109
            noted.sums[0] = RED * sums[0] + GREEN * sums[1] + BLUE * sums[2]
        else:
            noted.sums[0] = sums.sum() / channels
    elif code == EQUALIZE:
        for channel in range(colours_of(channels)):
            for level in range(256):
                place = nearest_byte(np.float32(levels[channel, level]))
                noted.counts[channel, place] += counts[channel, level]
    else:
        for channel in range(channels):
            for level in range(256):
                if counts[channel, level]:
                    value = levels[channel, level]
                    noted.lows[channel] = min(noted.lows[channel], value)
                    noted.highs[channel] = max(noted.highs[channel], value)


@inner
def put_bytes(source, planar, channels, pixels, bytes_, out):
    """Look up every value of a flat image."""
    if planar:
        for channel in range(channels):
            table, begin = bytes_[channel], channel * pixels
            for k in range(pixels):
                out[np.uintp(begin + k)] = table[source[np.uintp(begin + k)]]
    elif channels == 3:
        red, green, blue = bytes_[0], bytes_[1], bytes_[2]
        for k in range(pixels):
            out[np.uintp(3 * k)] = red[source[np.uintp(3 * k)]]
            out[np.uintp(3 * k + 1)] = green[source[np.uintp(3 * k + 1)]]
            out[np.uintp(3 * k + 2)] = blue[source[np.uintp(3 * k + 2)]]
    else:
        for channel in range(channels):
            table = bytes_[channel]
            for k in range(pixels):
                place = np.uintp(k * channels + channel)
                out[place] = table[source[place]]
