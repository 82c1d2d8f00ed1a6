"""Rectangles that are overwritten: with a colour, with the image's mean, or with noise.

See `planes` for the layout of a batch.
"""

# ruff: noqa: ARG001, ARG005 - Numba takes types from these signatures

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels.launch import inner, shared
from fastaug.kernels.noise import keys_of_row, random_bits
from fastaug.kernels.planes import clipped

# What rectangles are filled with: see `erase_holes`.
COLOUR, MEAN, NOISE = range(3)


def uniform_value(bits, like):
    """Return a value from 0 to 255, of random bits."""
    if like.dtype == np.uint8:
        return np.uint8(bits >> 24)
    return like.dtype.type(bits >> 8) * like.dtype.type(255 / 2.0**24)


@overload(uniform_value)
def _uniform_value(bits, like):
    if like.dtype == types.uint8:
        return lambda bits, like: np.uint8(bits >> np.uint32(24))
    return lambda bits, like: like.dtype.type(bits >> np.uint32(8)) * like.dtype.type(255 / 2.0**24)


@inner
def mean_colour(plane, step, sums, colour):
    """Fill `colour` (step,) with the mean of each channel of a plane."""
    height, length = plane.shape
    sums[:] = 0
    for row in range(height):
        for k in range(length):
            sums[np.uintp(k)] += plane[row, np.uintp(k)]
    for channel in range(step):
        total = 0.0
        for k in range(channel, length, step):
            total += sums[np.uintp(k)]
        colour[channel] = clipped(np.float32(total / (height * (length // step))), plane)


@inner
def erase_rectangle(plane, step, hole, pattern):
    """Overwrite a rectangle of a plane with the same part of a row."""
    for row in range(hole[0], hole[2]):
        for k in range(hole[1] * step, hole[3] * step):
            plane[row, np.uintp(k)] = pattern[np.uintp(k)]


@inner
def erase_with_noise(plane, step, hole, p, parts, seed):
    """Overwrite a rectangle of plane p with uniform noise."""
    for row in range(hole[0], hole[2]):
        keys = keys_of_row(seed, row)
        for k in range(hole[1] * step, hole[3] * step):
            plane[row, np.uintp(k)] = uniform_value(random_bits(keys, k * parts + p), plane)


@inner
def erase_plane(plane, step, holes, fill, colour, seed, p, parts, pattern, sums):
    """Erase all rectangles of a plane, which has the channels from p on."""
    if fill == NOISE:
        for hole in holes:
            erase_with_noise(plane, step, hole, p, parts, seed)
        return
    if fill == MEAN:
        colour = np.empty(step, plane.dtype)
        mean_colour(plane, step, sums, colour)
        p = 0
    for k in range(len(pattern)):
        pattern[np.uintp(k)] = colour[p + k % step]
    for hole in holes:
        erase_rectangle(plane, step, hole, pattern)


@shared
def erase_holes(planes, step, rows, holes, fill, colour, seeds, totals, share, threads):
    """Overwrite rectangles of the chosen images.

    Parameters
    ----------
    planes, step
        The batch, changed in place; see `planes`.
    rows
        (m,) intp: which of the images.
    holes
        (n, k, 4) int64: first row, first column, and those behind the last; inside of the images.
    fill
        COLOUR; MEAN, each image's own mean of each channel; or NOISE, uniform from 0 to 255, each
        value another.
    colour
        (channels,) in the dtype of the images.
    seeds
        (n,) int64, of the noise.
    totals
        (threads, length), memory for sums over rows: int64 for images of bytes, or float64.
    share, threads
        Which share is made here, of how many.
    """
    parts, length = planes.shape[1], planes.shape[3]
    pattern = np.empty(length, planes.dtype)
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        i = rows[j]
        for p in range(parts):
            erase_plane(
                planes[i, p],
                step,
                holes[i],
                fill,
                colour,
                seeds[i],
                p,
                parts,
                pattern,
                totals[share],
            )
