"""Filters over neighbours: Gaussian blur, motion blur, sharpness.

An image's plane is copied, with a margin, to scratch memory of the thread; then the plane is
overwritten row by row, in flat loops that LLVM vectorises.  See `planes` for the layout.
"""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels.launch import inner, shared
from fastaug.kernels.planes import clipped, copy_padded, reflect, within


def added(first, second, real):
    """Return the sum of two values, as a float."""
    return real(first) + real(second)


@overload(added)
def _added(first, second, real):  # noqa: ARG001 - Numba takes types from it
    if isinstance(first, types.Integer):  # one conversion instead of two
        return lambda first, second, real: real(np.int32(np.int32(first) + np.int32(second)))
    return lambda first, second, real: real(first) + real(second)


@inner
def weigh(source, centre, near, far, weights, sums):
    """Fill `sums` with weighted sums of a value and of two pairs around it.

    Parameters
    ----------
    source
        Flat, of any dtype.
    centre, near, far
        Where in it the values start: the centre's, and each pair's two.
    weights
        Of the centre, of the near pair, of the far pair; in the dtype of `sums`.
    """
    real = sums.dtype.type
    own, beside, beyond = weights
    before, after = near
    far_before, far_after = far
    for k in range(len(sums)):
        sums[np.uintp(k)] = (
            own * real(source[np.uintp(centre + k)])
            + beside * added(source[np.uintp(before + k)], source[np.uintp(after + k)], real)
            + beyond
            * added(source[np.uintp(far_before + k)], source[np.uintp(far_after + k)], real)
        )


@inner
def weigh_more(source, near, far, weights, sums):
    """Add two more pairs to `sums`."""
    real = sums.dtype.type
    beside, beyond = weights
    before, after = near
    far_before, far_after = far
    for k in range(len(sums)):
        sums[np.uintp(k)] += beside * added(
            source[np.uintp(before + k)], source[np.uintp(after + k)], real
        ) + beyond * added(source[np.uintp(far_before + k)], source[np.uintp(far_after + k)], real)


@inner
def blur_rows(source, row, height, wide, weights, sums):
    """Fill `sums` (wide,) with the sums over the rows around one, reflected at the edges."""
    zero = sums.dtype.type(0)
    radius = len(weights) - 1
    for distance in range(1, max(radius, 1) + 1, 2):
        near = (
            reflect(row - distance, height) * wide,
            reflect(row + distance, height) * wide,
        )
        far = (
            reflect(row - distance - 1, height) * wide,
            reflect(row + distance + 1, height) * wide,
        )
        beside = weights[distance] if distance <= radius else zero
        beyond = weights[distance + 1] if distance < radius else zero
        if distance == 1:
            weigh(source, row * wide, near, far, (weights[0], beside, beyond), sums)
        else:
            weigh_more(source, near, far, (beside, beyond), sums)


@inner
def blur_cols(source, margin, step, weights, sums):
    """Fill `sums` (length,) with the sums along a row that has a margin, of so many values."""
    zero = sums.dtype.type(0)
    radius = len(weights) - 1
    for distance in range(1, max(radius, 1) + 1, 2):
        is_last = distance >= radius
        beside = weights[distance] if distance <= radius else zero
        beyond = zero if is_last else weights[distance + 1]
        by = min(distance, radius) * step
        near = margin - by, margin + by
        by = min(distance + 1, radius) * step
        far = margin - by, margin + by
        if distance == 1:
            weigh(source, margin, near, far, (weights[0], beside, beyond), sums)
        else:
            weigh_more(source, near, far, (beside, beyond), sums)


@inner
def blur_plane(plane, step, row_weights, col_weights, margin, padded, wide_sums, sums):
    """Blur a plane in place: down the rows first, then along each row."""
    height, length = plane.shape
    copy_padded(plane, step, margin, padded)
    wide = len(wide_sums)
    for row in range(height):
        blur_rows(padded, row, height, wide, row_weights, wide_sums)
        blur_cols(wide_sums, margin * step, step, col_weights, sums)
        for k in range(length):
            plane[row, np.uintp(k)] = within(sums[np.uintp(k)], plane)


@inner
def trimmed(weights):
    """Return the weights up to the last one that is not 0."""
    count = len(weights)
    while count > 1 and weights[count - 1] == 0:
        count -= 1
    return weights[:count]


@inner
def weigh_four(source, starts, weights, sums):
    """Add the weighted values of four places to `sums`."""
    real = sums.dtype.type
    first, second, third, fourth = starts
    a, b, c, d = weights
    for k in range(len(sums)):
        sums[np.uintp(k)] += (
            a * real(source[np.uintp(first + k)])
            + b * real(source[np.uintp(second + k)])
            + c * real(source[np.uintp(third + k)])
            + d * real(source[np.uintp(fourth + k)])
        )


@inner
def smear_plane(plane, step, shifts, weights, margin, padded, sums):
    """Replace each value of a plane by a weighted sum of others, at the same shifts for all."""
    height, length = plane.shape
    wide = length + 2 * margin * step
    copy_padded(plane, step, margin, padded)
    for row in range(height):
        sums[:] = 0
        for t in range(0, len(weights), 4):
            a, b, c, d = (
                start_of(row, shifts, t, height, wide, margin, step),
                start_of(row, shifts, t + 1, height, wide, margin, step),
                start_of(row, shifts, t + 2, height, wide, margin, step),
                start_of(row, shifts, t + 3, height, wide, margin, step),
            )
            four = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
            weigh_four(padded, (a, b, c, d), four, sums)
        for k in range(length):
            plane[row, np.uintp(k)] = within(sums[np.uintp(k)], plane)


@inner
def start_of(row, shifts, t, height, wide, margin, step):
    """Return where in the padded plane the row starts that shift t takes values from."""
    return reflect(row + shifts[t, 0], height) * wide + (margin + shifts[t, 1]) * step


@inner
def sharpen_plane(plane, step, factor, padded, wide_sums):
    """Move a plane's inner pixels away from their smoothed values, or towards them.

    Smoothed is the sum over 3 x 3 pixels, the centre five times, over 13 (Pillow's SMOOTH).
    """
    height, length = plane.shape
    wide = length + 2 * step
    copy_padded(plane, step, 1, padded)
    real = wide_sums.dtype.type
    of_all = (real(1) - factor) / real(13)
    of_centre = factor + real(4) * of_all
    for row in range(1, height - 1):
        above, here, below = (row - 1) * wide, row * wide, (row + 1) * wide
        for k in range(wide):
            wide_sums[np.uintp(k)] = (
                real(padded[np.uintp(above + k)])
                + real(padded[np.uintp(here + k)])
                + real(padded[np.uintp(below + k)])
            )
        for k in range(step, length - step):  # shifted by the margin, which is a step
            total = (
                wide_sums[np.uintp(k)]
                + wide_sums[np.uintp(k + step)]
                + wide_sums[np.uintp(k + 2 * step)]
            )
            value = of_all * total + of_centre * real(padded[np.uintp(here + step + k)])
            plane[row, np.uintp(k)] = clipped(value, plane)


@shared
def blur_images(planes, step, rows, row_weights, col_weights, share, threads):
    """Blur the chosen images with a kernel that is the product of two symmetric ones.

    Parameters
    ----------
    planes, step
        The batch, changed in place; see `planes`.
    rows
        (m,) intp: which of the images.
    row_weights, col_weights
        (n, radius + 1) down and along: the weight of the centre, then those of the pairs at the
        distance 1, 2 ...; in the dtype of the computation.  A pixel's weights sum up to 1; zeros at
        the end cost nothing.
    share, threads
        Which share is made here, of how many.
    """
    height, length = planes.shape[2:]
    margin = col_weights.shape[1] - 1
    wide = length + 2 * margin * step
    padded = np.empty(height * wide, planes.dtype)
    wide_sums = np.empty(wide, row_weights.dtype)
    sums = np.empty(length, row_weights.dtype)
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        i = rows[j]
        down, along = trimmed(row_weights[i]), trimmed(col_weights[i])
        for p in range(planes.shape[1]):
            blur_plane(planes[i, p], step, down, along, margin, padded, wide_sums, sums)


@shared
def smear_images(planes, step, rows, shifts, weights, margin, share, threads):
    """Replace values of the chosen images by weighted sums of others.

    Parameters
    ----------
    shifts
        (n, k, 2) int64, in pixels: how many rows below and columns to the right each of k values
        lies.  k is a multiple of four.
    weights
        (n, k) of the values, in the dtype of the computation; those of an image sum up to 1.
    margin
        No column's shift is larger.
    """
    height, length = planes.shape[2:]
    padded = np.empty(height * (length + 2 * margin * step), planes.dtype)
    sums = np.empty(length, weights.dtype)
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        i = rows[j]
        for p in range(planes.shape[1]):
            smear_plane(planes[i, p], step, shifts[i], weights[i], margin, padded, sums)


@shared
def sharpen_images(planes, step, rows, factors, share, threads):
    """Sharpen or smooth the chosen images; `factors` (n,) in the dtype of the computation."""
    height, length = planes.shape[2:]
    padded = np.empty(height * (length + 2 * step), planes.dtype)
    wide_sums = np.empty(length + 2 * step, factors.dtype)
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        i = rows[j]
        for p in range(planes.shape[1]):
            sharpen_plane(planes[i, p], step, factors[i], padded, wide_sums)
