"""Rows in and out: from the source as it lies in memory, to the batch in its dtype and layout.

The kernels work on flat images, (height * width * channels,) float32 or float64.  Sources and
batches are images (height, width, channels), or (channels, height, width) where `planar`; batches
of float16 are passed as their bits in uint16, because Numba has no float16 on the CPU.
"""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels.launch import inner


@inner
def copy_rows(image, flips, shape, planar, out, first, last):
    """Fill the rows from `first` to `last` of a flat image with those of the source, flipped."""
    height, width, channels = shape
    length = width * channels
    source = image.reshape(-1)
    if planar or flips[0] or flips[1]:
        for row in range(first, last):
            origin = height - 1 - row if flips[0] else row
            copy_row(source, origin, flips[1], shape, planar, out, row * length)
    else:
        for k in range(first * length, last * length):
            out[np.uintp(k)] = source[np.uintp(k)]


@inner
def copy_row(source, row, mirrored, shape, planar, out, start):
    """Copy one row; of a planar source, each channel is a plane."""
    height, width, channels = shape
    if planar:
        for channel in range(channels):
            origin = (channel * height + row) * width
            for col in range(width):
                k = origin + (width - 1 - col if mirrored else col)
                out[np.uintp(start + col * channels + channel)] = source[np.uintp(k)]
        return
    origin, last = row * width * channels, (row + 1) * width * channels - channels
    if not mirrored:
        for k in range(width * channels):
            out[np.uintp(start + k)] = source[np.uintp(origin + k)]
    elif channels == 3:  # a constant, and no sum of variables: pixels are turned in registers
        for col in range(width):
            k, place = last - 3 * col, start + 3 * col
            out[np.uintp(place)] = source[np.uintp(k)]
            out[np.uintp(place + 1)] = source[np.uintp(k + 1)]
            out[np.uintp(place + 2)] = source[np.uintp(k + 2)]
    elif channels == 1:
        for col in range(width):
            out[np.uintp(start + col)] = source[np.uintp(last - col)]
    else:
        for col in range(width):
            for channel in range(channels):
                k = last - col * channels + channel
                out[np.uintp(start + col * channels + channel)] = source[np.uintp(k)]


@inner
def store_rows(rows, shape, planar, out, first, last):
    """Put finished rows into an image of the batch that could not hold them unfinished."""
    height, width, channels = shape
    target = out.reshape(-1)
    if planar:
        for channel in range(channels):
            for k in range(first * width, last * width):
                value = rows[np.uintp(k * channels + channel)]
                target[np.uintp(channel * height * width + k)] = encode(value, target)
    else:
        for k in range(first * width * channels, last * width * channels):
            target[np.uintp(k)] = encode(rows[np.uintp(k)], target)


def is_direct(values, out, planar):
    """Tell whether rows can be made right in the batch, without `store_row`."""
    return not planar and values.dtype == out.dtype


@overload(is_direct)
def _is_direct(values, out, planar):
    same = values.dtype == out.dtype
    return lambda values, out, planar: same and not planar


def choose_place(direct, values, out):
    """Return where an image is made, flat: in the batch itself, or in `values`."""
    return out.reshape(-1) if direct else values


@overload(choose_place)
def _choose_place(direct, values, out):
    if values.dtype != out.dtype:
        return lambda direct, values, out: values
    return lambda direct, values, out: out.reshape(-1) if direct else values


def encode(value, like):
    """Convert a number for an array: uint8 is rounded and clipped, uint16 holds float16's bits."""
    if like.dtype == np.uint8:
        return np.uint8(min(max(np.rint(value), 0), 255))
    return np.float16(value).view(np.uint16) if like.dtype == np.uint16 else value


@overload(encode)
def _encode(value, like):
    if like.dtype == types.uint8:
        if value == types.float32:
            return lambda value, like: nearest_byte(value)
        return lambda value, like: np.uint8(min(max(np.rint(value), 0.0), 255.0))
    if like.dtype == types.uint16:
        return lambda value, like: half_bits(value)
    return lambda value, like: value


@inner
def nearest_byte(value):
    """Return a float32 as a byte, as `np.rint` rounds, ties to even, and clipped.

    Numbers about 1.5 * 2**23 are whole: adding that rounds, and leaves the byte in the lowest bits.
    Unlike `rint` and a conversion, this is done to many values at once.
    """
    zero, top, shift = np.float32(0), np.float32(255), np.float32(12582912)
    return np.uint8(np.float32(min(max(value, zero), top) + shift).view(np.int32) & 255)


@inner
def half_bits(value):
    """Return a float32 as the bits of a float16, rounded to nearest, ties to even.

    Giesen, "float->half variants", 2012: in the range of float16's normal numbers, rebase the
    exponent and let the rounding carry into it; below, let a float addition do the rounding.
    """
    bits = np.float32(value).view(np.uint32)
    sign = np.uint32(bits >> 16) & np.uint32(0x8000)
    size = bits & np.uint32(0x7FFFFFFF)
    odd = (size >> np.uint32(13)) & np.uint32(1)
    half = np.uint32(size + np.uint32(0xC8000FFF) + odd) >> np.uint32(13)
    if size < np.uint32(0x38800000):
        smallest = np.float32(abs(value) + np.float32(0.5)).view(np.uint32)
        half = smallest - np.uint32(0x3F000000)
    if size >= np.uint32(0x47800000):
        half = np.uint32(0x7E00) if size > np.uint32(0x7F800000) else np.uint32(0x7C00)
    return np.uint16(half | sign)
