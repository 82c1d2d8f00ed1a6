"""Decoded files of any size -> images of one size, by the nearest pixel: Keras' default.

The arithmetic is that of Pillow 13's `Image.resize` with NEAREST (`ImagingScaleAffine` in
`Geometry.c`), so that results agree to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fastaug.kernels.launch import COMPILED, inner

_CHANNELS = 3
_WORD = ir.IntType(32)


@intrinsic
def _copy_word(_, source, start, out, place):
    """Copy four bytes of flat uint8 arrays, from `start` to `place`."""

    def generate(context, builder, signature, arguments):
        pointers = []
        for kind, array, index in zip(signature.args[::2], arguments[::2], arguments[1::2]):  # noqa: B905
            data = context.make_array(kind)(context, builder, array).data
            pointers.append(builder.bitcast(builder.gep(data, [index]), _WORD.as_pointer()))
        builder.store(builder.load(pointers[0], align=1), pointers[1], align=1)
        return context.get_dummy_value()

    return types.void(source, types.intp, out, types.intp), generate


def _copy_four(source, start, out, place):
    out[place : place + 4] = source[start : start + 4]


_copy = _copy_word if COMPILED else _copy_four


@inner
def find_taps(begin, extent, step, taps):
    """Put into `taps` which source rows or columns are taken, times `step`.

    The position is added up, as Pillow does it: a product would round otherwise.
    """
    pace = extent / len(taps)
    position = begin + pace * 0.5
    for k in range(len(taps)):
        taps[k] = int(position) * step
        position += pace


@inner
def crop(height, width, out_height, out_width, keep_aspect_ratio):
    """Return (top, left, height, width) of what is resized: all, or Keras' central crop."""
    if not keep_aspect_ratio:
        return 0, 0, height, width
    crop_height = min(height, (width * out_height) // out_width)
    crop_width = min(width, (height * out_width) // out_height)
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


@inner
def resize_image(source, size, keep_aspect_ratio, rows, cols, out):
    """Fill `out` with an image of three channels that lies flat at the beginning of `source`."""
    height, width, _ = out.shape
    target = out.reshape(-1)
    if size[0] == height and size[1] == width:
        target[:] = source[: target.size]
        return
    top, left, crop_height, crop_width = crop(size[0], size[1], height, width, keep_aspect_ratio)
    find_taps(float(top), float(crop_height), size[1] * _CHANNELS, rows)
    find_taps(float(left), float(crop_width), _CHANNELS, cols)
    place = 0
    for row in range(height):
        start = rows[row]
        for col in range(width):
            # Four bytes at once take two thirds of the time; the next pixel overwrites the fourth.
            if place + 4 <= target.size:
                _copy(source, start + cols[col], target, place)
            place += _CHANNELS
    start, place = rows[height - 1] + cols[width - 1], target.size - _CHANNELS
    for channel in range(_CHANNELS):
        target[place + channel] = source[start + channel]


@inner
def resize_images(slots, sizes, keep_aspect_ratio, out):
    """Resize images one after the other, without Numba's threads: any thread may do so at any time.

    Parameters
    ----------
    slots
        (n, nbytes) uint8: decoded images, flat, one byte of slack behind each.
    sizes
        (n, 2) int32: height and width of each.
    keep_aspect_ratio
        Whether a central part in the proportions of `out` is taken.
    out
        (n, height, width, 3) uint8, overwritten.
    """
    _, height, width, _ = out.shape
    rows, cols = np.empty(height, np.intp), np.empty(width, np.intp)
    for i in range(len(out)):
        resize_image(slots[i], sizes[i], keep_aspect_ratio, rows, cols, out[i])


def pick_pixels(
    slots: NDArray[np.uint8],
    sizes: NDArray[np.int32],
    images: NDArray[Any],
    *,
    keep_aspect_ratio: bool,
) -> None:
    """Copy decoded images, resized by the nearest pixel, in this thread.

    Parameters
    ----------
    slots
        (n, nbytes) uint8: images of three channels, flat, each with a byte of slack behind it
        unless it has the size of the result.
    sizes
        (n, 2) int32: their heights and widths.
    images
        (n, height, width, 3) uint8, overwritten.
    keep_aspect_ratio
        Whether a central part in the result's proportions is taken.

    References
    ----------
    Pillow 13, `Image.resize` with NEAREST; the same bits.
    """
    resize_images(slots, sizes, keep_aspect_ratio, images)
