"""Geometry: pull every output pixel from its place in the source.

The arithmetic is that of SciPy 1.17's `ndimage.affine_transform` (`NI_GeometricTransform` in
`ni_interpolation.c`), operation by operation in float64, so that results agree to the last bit.
This is the plain path, one number after another; `sampling.py` does the same faster.

Indices that are computed are made unsigned: for a signed one Numba first asks whether it counts
from the end, which doubles the time of a pixel (25 against 14 ns).
"""

from __future__ import annotations

from math import floor

import numpy as np

from fastaug.kernels.launch import inlined, inner

FILL_MODES = {"constant": 0, "nearest": 1, "reflect": 2, "wrap": 3}
CONSTANT, NEAREST, _REFLECT = 0, 1, 2
OUTSIDE = -1.0
# Coordinates from here on have no fractions, and no known place in a period.
_FAR = 2.0**52


@inner
def fold(position, length, fill_mode):
    """Bring a coordinate into the image as the fill mode says; OUTSIDE means `cval`."""
    if 0.0 <= position <= length - 1:
        return position
    if fill_mode == CONSTANT:
        return OUTSIDE
    if length == 1:
        return 0.0
    if fill_mode == NEAREST:
        return length - 1.0 if position > 0.0 else 0.0
    if not abs(position) < _FAR:  # nor has what is no number
        return 0.0
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


@inlined
def stays_outside(fill_mode, out):
    """Tell whether coordinates outside stay where they are, between two copies of an edge pixel.

    SciPy leaves them there for `nearest`, and the weights of the copies add up to 1 but for 1e-14,
    which float64 shows.  For float32 they are brought to the edge, which is faster.
    """
    return fill_mode == NEAREST and out.itemsize == 8


@inner
def tap(index, length):
    """Keep a tap inside; the ones outside repeat the edge pixel or have weight zero."""
    return min(max(index, 0), length - 1)


@inner
def sample_pixel(source, shape, y, x, order, out, start):
    """Fill the pixel that starts at `out[start]` with the source at (y, x); outside is the edge.

    Parameters
    ----------
    source
        (height * width * channels or more,) float32 or float64.
    shape
        (height, width, channels)
    """
    height, width, channels = shape
    # Further away they would be no integers; in this order `max` takes what is no number for far.
    y, x = min(max(-_FAR, y), _FAR), min(max(-_FAR, x), _FAR)
    if order == 0:
        row, col = tap(int(floor(y + 0.5)), height), tap(int(floor(x + 0.5)), width)
        near = (row * width + col) * channels
        for channel in range(channels):
            out[np.uintp(start + channel)] = source[np.uintp(near + channel)]
        return
    above, before = int(floor(y)), int(floor(x))
    upper = 1.0 - (y - above)
    lower = 1.0 - upper
    nearer = 1.0 - (x - before)
    farther = 1.0 - nearer
    top, bottom = tap(above, height) * width, tap(above + 1, height) * width
    left, right = tap(before, width), tap(before + 1, width)
    for channel in range(channels):
        value = source[np.uintp((top + left) * channels + channel)] * upper * nearer
        value += source[np.uintp((top + right) * channels + channel)] * upper * farther
        value += source[np.uintp((bottom + left) * channels + channel)] * lower * nearer
        value += source[np.uintp((bottom + right) * channels + channel)] * lower * farther
        out[np.uintp(start + channel)] = value


@inlined
def is_projective(pull):
    """Tell whether positions are divided by a third coordinate, which is 1 otherwise."""
    return pull[2, 0] != 0.0 or pull[2, 1] != 0.0 or pull[2, 2] != 1.0


@inner
def share_of(w):
    """Return what projected positions are multiplied by: one division for both, 0 where w is 0."""
    return 1.0 / w if w != 0.0 else 0.0


@inner
def warp_rows(source, pull, flips, order, fill_mode, cval, shape, size, out, first, last):
    """Fill the rows from `first` to `last` with the source seen through a pull matrix, flipped.

    Parameters
    ----------
    source
        (height * width * channels or more,) float32 or float64.
    pull
        (3, 3) float64 matrix: output (row, col, 1) -> source (row, col, 1) times a third
        coordinate; where that is 0, the position is (0, 0), as in OpenCV's `warpPerspective`.
    flips
        Whether the warped image is turned upside down, and left to right.
    order
        0 takes the nearest pixel, 1 interpolates between the four around.
    fill_mode, cval
        A code of FILL_MODES, and the value outside for `constant`.
    shape
        (height, width, channels) of the source.
    size
        (height, width) of the result.
    out
        (height * width * channels,) of that size, in the dtype of the source.
    """
    height, width, channels = shape
    out_height, out_width = size
    projective = is_projective(pull)
    folded = not stays_outside(fill_mode, out)
    for row in range(first, last):
        origin = out_height - 1 - row if flips[0] else row
        # SciPy's order of the sum: with another, round angles put whole pixels elsewhere.
        row_y = pull[0, 2] + origin * pull[0, 0]
        row_x = pull[1, 2] + origin * pull[1, 0]
        row_w = pull[2, 2] + origin * pull[2, 0]
        for col in range(out_width):
            start = (row * out_width + col) * channels
            source_col = out_width - 1 - col if flips[1] else col
            y, x = row_y + source_col * pull[0, 1], row_x + source_col * pull[1, 1]
            if projective:
                share = share_of(row_w + source_col * pull[2, 1])
                y, x = y * share, x * share
            if folded:
                y, x = fold(y, height, fill_mode), fold(x, width, fill_mode)
            if folded and (y <= OUTSIDE or x <= OUTSIDE):
                for channel in range(channels):
                    out[np.uintp(start + channel)] = cval
            else:
                sample_pixel(source, shape, y, x, order, out, start)
