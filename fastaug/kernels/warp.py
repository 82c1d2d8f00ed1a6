"""Geometry of one image: pull every output pixel from its place in the source.

The arithmetic is that of SciPy 1.17's `ndimage.affine_transform` (`NI_GeometricTransform` in
`ni_interpolation.c`), operation by operation in float64, so that results agree to the last bit.
"""

from __future__ import annotations

from math import floor

import numpy as np

from fastaug.kernels.launch import inner

FILL_MODES = {"constant": 0, "nearest": 1, "reflect": 2, "wrap": 3}
_CONSTANT, _NEAREST, _REFLECT = 0, 1, 2
OUTSIDE = -1.0


@inner
def fold(position, length, fill_mode):
    """Bring a coordinate into the image as the fill mode says; OUTSIDE means `cval`."""
    if 0.0 <= position <= length - 1:
        return position
    if fill_mode == _CONSTANT:
        return OUTSIDE
    if length == 1:
        return 0.0
    if fill_mode == _NEAREST:
        return 0.0 if position < 0.0 else length - 1.0
    if fill_mode == _REFLECT:
        # The edge pixel is repeated, so the period is twice the length.
        period = 2 * length
        if position < 0.0:
            if position < -period:
                position += period * int(-position / period)
            if position < -length:
                return position + period
            # Clear of -1, which would mean OUTSIDE.
            return (1e-15 if position > -1e-15 else -position) - 1.0
        position -= period * int(position / period)
        return period - position - 1.0 if position >= length else position
    # SciPy's `wrap` has the period n - 1: the last pixel and the first are the same place.
    period = length - 1
    if position < 0.0:
        return position + period * (int(-position / period) + 1)
    return position - period * int(position / period)


@inner
def tap(index, length):
    """Keep a tap inside; the ones outside repeat the edge pixel or have weight zero.

    Unsigned, like every index that is computed here: for a signed one Numba first asks whether it
    counts from the end, which doubles the time of a pixel (25 against 14 ns).
    """
    return np.uintp(min(max(index, 0), length - 1))


@inner
def place(index, length, flipped):
    """Return where a row or column of a flipped image is stored."""
    return np.uintp(length - 1 - index if flipped else index)


@inner
def warp_image(image, pull, flip_vertical, flip_horizontal, order, fill_mode, cval, out):
    """Fill `out` with `image` seen through a pull matrix, then flipped.

    Parameters
    ----------
    image
        (height, width, channels), uint8, float32 or float64.
    pull
        (2, 3) float64 matrix: output (row, col, 1) -> source (row, col).
    flip_vertical, flip_horizontal
        Whether the warped image is turned upside down, and left to right.
    order
        0 takes the nearest pixel, 1 interpolates between the four around.
    fill_mode, cval
        A code of FILL_MODES, and the value outside for `constant`.
    out
        (height, width, channels), float32 or float64, overwritten.
    """
    height, width, channels = image.shape
    for row in range(height):
        out_row = place(row, height, flip_vertical)
        # SciPy's order of the sum: with another, round angles put whole pixels elsewhere.
        row_y = pull[0, 2] + row * pull[0, 0]
        row_x = pull[1, 2] + row * pull[1, 0]
        for col in range(width):
            out_col = place(col, width, flip_horizontal)
            y = fold(row_y + col * pull[0, 1], height, fill_mode)
            x = fold(row_x + col * pull[1, 1], width, fill_mode)
            if y <= OUTSIDE or x <= OUTSIDE:
                for channel in range(channels):
                    out[out_row, out_col, channel] = cval
            elif order == 0:
                near_row, near_col = (
                    tap(int(floor(y + 0.5)), height),
                    tap(int(floor(x + 0.5)), width),
                )
                for channel in range(channels):
                    out[out_row, out_col, channel] = image[near_row, near_col, channel]
            else:
                above, before = int(floor(y)), int(floor(x))
                upper = 1.0 - (y - above)
                lower = 1.0 - upper
                nearer = 1.0 - (x - before)
                farther = 1.0 - nearer
                top, bottom = tap(above, height), tap(above + 1, height)
                left, right = tap(before, width), tap(before + 1, width)
                for channel in range(channels):
                    value = image[top, left, channel] * upper * nearer
                    value += image[top, right, channel] * upper * farther
                    value += image[bottom, left, channel] * lower * nearer
                    value += image[bottom, right, channel] * lower * farther
                    out[out_row, out_col, channel] = value


@inner
def copy_image(image, flip_vertical, flip_horizontal, out):
    """Fill `out` with `image`, flipped, without a warp."""
    height, width, channels = image.shape
    for row in range(height):
        out_row = place(row, height, flip_vertical)
        for col in range(width):
            out_col = place(col, width, flip_horizontal)
            for channel in range(channels):
                out[out_row, out_col, channel] = image[row, col, channel]
