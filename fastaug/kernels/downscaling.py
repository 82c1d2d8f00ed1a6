"""Images made smaller and large again.  See `planes` for the layout of a batch.

Positions are OpenCV's (`cv::resize`): nearest takes pixel floor(k * scale), bilinear the position
(k + 0.5) * scale - 0.5, between the two pixels around it.
"""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inner, shared
from fastaug.kernels.planes import within


@inner
def small_side(side, scale):
    """Return the side of the smaller image."""
    return max(int(np.rint(side * scale)), 1)


@inner
def coarse(position, side, scale):
    """Return which pixel is found at a position after the way down and up by nearest."""
    small = small_side(side, scale)
    inside = min(int(np.floor(position * (small / side))), small - 1)
    return min(int(np.floor(inside * (1.0 / scale))), side - 1)


@inner
def coarsen_plane(plane, step, scale, cols, copied):
    """Repeat pixels of a plane, in place; `cols` (length,) and `copied` (plane) are memory."""
    height, length = plane.shape
    width = length // step
    for col in range(width):
        for channel in range(step):
            cols[col * step + channel] = coarse(col, width, scale) * step + channel
    for row in range(height):
        for k in range(length):
            copied[row, k] = plane[row, k]
    done = -1
    for row in range(height):
        source = coarse(row, height, scale)
        for k in range(length):
            # A row that comes from the same place as the one above is like it.
            plane[row, k] = plane[row - 1, k] if source == done else copied[source, cols[k]]
        done = source


@inner
def between(position, scale, side):
    """Return the two pixels around a position, and what the second one counts."""
    at = min(max((position + 0.5) * scale - 0.5, 0.0), side - 1.0)
    first = int(at)
    return first, min(first + 1, side - 1), at - first


@inner
def stretch_row(source, row, cols, parts, stretched):
    """Interpolate along a row of the source."""
    real = stretched.dtype.type
    for k in range(len(stretched)):
        value = real(source[row, np.uintp(cols[0, np.uintp(k)])])
        more = real(source[row, np.uintp(cols[1, np.uintp(k)])]) - value
        stretched[np.uintp(k)] = value + parts[np.uintp(k)] * more


@inner
def resample(source, step, scale_y, scale_x, memory, out):
    """Fill `out` (any height, any width * step) by bilinear interpolation.

    Parameters
    ----------
    source
        (height, width * step).
    scale_y, scale_x
        How far apart pixels of `out` lie in the source.
    memory
        (2, length) int32, and (length,) three times in the dtype of the computation, for a row of
        `out`; they may be longer.
    """
    height, width, length = source.shape[0], source.shape[1] // step, out.shape[1]
    cols, parts, even, odd = memory[0], memory[1], memory[2][:length], memory[3][:length]
    real = parts.dtype.type
    for k in range(length):
        first, second, part = between(k // step, scale_x, width)
        cols[0, k], cols[1, k] = first * step + k % step, second * step + k % step
        parts[k] = real(part)
    # Of the two source rows around a row one is even, one odd.  Each stays while it is needed.
    held_even, held_odd = -1, -1
    for row in range(len(out)):
        first, second, part = between(row, scale_y, height)
        for needed in (first, second):
            if needed % 2 == 0 and held_even != needed:
                stretch_row(source, needed, cols, parts, even)
                held_even = needed
            if needed % 2 == 1 and held_odd != needed:
                stretch_row(source, needed, cols, parts, odd)
                held_odd = needed
        above, weight = even if first % 2 == 0 else odd, real(part)
        below = even if second % 2 == 0 else odd
        for k in range(length):
            value = above[np.uintp(k)]
            value += weight * (below[np.uintp(k)] - value)
            out[row, np.uintp(k)] = within(value, out)


@shared
def coarsen_images(planes, step, rows, scales, share, threads):
    """Make the chosen images smaller and large again by nearest; `scales` (n,) float64."""
    cols = np.empty(planes.shape[3], np.intp)
    copied = np.empty(planes.shape[2:], planes.dtype)
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        for p in range(planes.shape[1]):
            coarsen_plane(planes[rows[j], p], step, scales[rows[j]], cols, copied)


@shared
def soften_images(planes, step, rows, scales, work, share, threads):
    """Make the chosen images smaller and large again, bilinear both.

    Parameters
    ----------
    scales
        (n,) float64.
    work
        (threads, height * length), memory in the dtype of the computation.
    """
    height, length = planes.shape[2:]
    width = length // step
    memory = (
        np.empty((2, length), np.int32),
        np.empty(length, work.dtype),
        np.empty(length, work.dtype),
        np.empty(length, work.dtype),
    )
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        scale = scales[rows[j]]
        small_height, small_width = small_side(height, scale), small_side(width, scale)
        count = small_height * small_width * step
        small = work[share, :count].reshape(small_height, small_width * step)
        back_y, back_x = small_height / height, small_width / width
        for p in range(planes.shape[1]):
            plane = planes[rows[j], p]
            resample(plane, step, 1 / scale, 1 / scale, memory, small)
            resample(small, step, back_y, back_x, memory, plane)
