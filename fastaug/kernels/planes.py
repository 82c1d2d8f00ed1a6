"""Images as planes of rows, and their copies with a margin: what kernels with neighbours share.

A batch (n, height, width, channels) is passed as `planes` (n, p, height, length), contiguous: one
plane an image, of rows with interleaved channels; or, with channels first, a plane a channel.
`step` is the distance from a value to the same channel of the next pixel: channels, or 1.
"""

# ruff: noqa: ARG001, ARG005 - Numba takes types from these signatures

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels.launch import inner


@inner
def reflect(position, size):
    """Return a position folded into 0 to size - 1: c b | a b c | b a, the edge is not repeated."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    position = abs(position) % period
    return period - position if position >= size else position


@inner
def copy_padded(plane, step, margin, padded):
    """Copy a plane to flat memory, each row with `margin` reflected pixels at both ends.

    Parameters
    ----------
    plane
        (height, width * step).
    padded
        (height * (width + 2 * margin) * step,), overwritten.
    """
    height, length = plane.shape
    width, wide = length // step, length + 2 * margin * step
    for row in range(height):
        start = row * wide + margin * step
        for k in range(length):
            padded[np.uintp(start + k)] = plane[row, np.uintp(k)]
        for col in range(margin):
            left = reflect(col - margin, width) * step
            right = reflect(width + col, width) * step
            for channel in range(step):
                padded[np.uintp(row * wide + col * step + channel)] = plane[row, left + channel]
                k = start + length + col * step + channel
                padded[np.uintp(k)] = plane[row, right + channel]


def clipped(value, like):
    """Convert a number for an array of values from 0 to 255; uint8 is rounded, halves to even."""
    value = min(max(value, 0), 255)
    return np.uint8(np.rint(value)) if like.dtype == np.uint8 else value


@overload(clipped)
def _clipped(value, like):
    if like.dtype == types.uint8:
        # Through int32, which vector units convert to.
        return lambda value, like: np.uint8(
            np.int32(np.rint(min(max(value, np.float32(0)), np.float32(255))))
        )
    return lambda value, like: min(max(value, like.dtype.type(0)), like.dtype.type(255))


def within(value, like):
    """Convert a number that is from 0 to 255 already, give or take a rounding error."""
    return np.uint8(np.rint(value)) if like.dtype == np.uint8 else value


@overload(within)
def _within(value, like):
    if like.dtype == types.uint8:
        return lambda value, like: np.uint8(np.int32(np.rint(value)))
    return lambda value, like: value
