"""Warped rows of a policy's own moves, in float32: only pixels that show the source are looked up.

In a row they are one run of columns, unless offsets bend it.  Where the run begins and ends is
solved, not searched; the coordinates of all runs of a band lie one behind the other.
"""

from __future__ import annotations

import numpy as np

from fastaug.kernels import quads
from fastaug.kernels.launch import inner
from fastaug.kernels.sampling import all_inside, locate_run
from fastaug.kernels.warp import is_projective, share_of


@inner
def whole_rows(rows, width, runs):
    """Let the runs of so many rows be all their columns; return how many pixels that are."""
    for row in range(rows):
        runs[row, 0], runs[row, 1] = 0, width
    return rows * width


@inner
def narrowed(begin, end, base, slope):
    """Return what is left of a run of columns where base + slope * column is at least 0."""
    if slope > 0.0:
        return max(begin, np.ceil(-base / slope)), end
    if slope < 0.0:
        return begin, min(end, np.floor(-base / slope) + 1.0)
    return begin, (end if base >= 0.0 else begin)


@inner
def find_run(pull, origin, left, step, low, bottom, right, width):
    """Return the run of columns of an output row whose pixels lie in the source.

    Parameters
    ----------
    pull, origin, left, step
        As in `locate_run`.
    low, bottom, right
        The least and the greatest coordinates that do.
    width
        Of the output.
    """
    row_y, row_x = pull[0, 2] + origin * pull[0, 0], pull[1, 2] + origin * pull[1, 0]
    row_w, col_w = pull[2, 2] + origin * pull[2, 0], pull[2, 1]
    y, x, w = row_y + left * pull[0, 1], row_x + left * pull[1, 1], row_w + left * col_w
    across_y, across_x, across_w = step * pull[0, 1], step * pull[1, 1], step * col_w
    if not (w > 0.0 and w + (width - 1.0) * across_w > 0.0):
        return 0, width
    begin, end = 0.0, np.float64(width)
    begin, end = narrowed(begin, end, y - low * w, across_y - low * across_w)
    begin, end = narrowed(begin, end, bottom * w - y, bottom * across_w - across_y)
    begin, end = narrowed(begin, end, x - low * w, across_x - low * across_w)
    begin, end = narrowed(begin, end, right * w - x, right * across_w - across_x)
    first = np.intp(min(max(0.0, begin), np.float64(width)))
    last = max(first, np.intp(min(max(0.0, end), np.float64(width))))
    # The last bits are those of the coordinates themselves.
    while first < last and not shows(pull, origin, left + step * first, low, bottom, right):
        first += 1
    while first < last and not shows(pull, origin, left + step * (last - 1), low, bottom, right):
        last -= 1
    while first > 0 and shows(pull, origin, left + step * (first - 1), low, bottom, right):
        first -= 1
    while last < width and shows(pull, origin, left + step * last, low, bottom, right):
        last += 1
    return first, last


@inner
def shows(pull, origin, source_col, low, bottom, right):
    """Tell whether an output pixel lies in the source, by the arithmetic of `locate_run`."""
    y = (pull[0, 2] + origin * pull[0, 0]) + source_col * pull[0, 1]
    x = (pull[1, 2] + origin * pull[1, 0]) + source_col * pull[1, 1]
    if is_projective(pull):
        share = share_of((pull[2, 2] + origin * pull[2, 0]) + source_col * pull[2, 1])
        y, x = y * share, x * share
    return low <= y and y <= bottom and low <= x and x <= right  # noqa: PLR1716


@inner
def locate_runs(pull, flips, size, shape, margin, ys, xs, first, last, runs):
    """Find the runs of rows, and locate their pixels; return how many there are."""
    height, width = size
    left, step = (width - 1.0, -1.0) if flips[1] else (0.0, 1.0)
    low, bottom, right = -margin, shape[0] - 1.0 + margin, shape[1] - 1.0 + margin
    count = 0
    for row in range(first, last):
        origin = height - 1 - row if flips[0] else row
        begin, end = find_run(pull, origin, left, step, low, bottom, right, width)
        locate_run(pull, origin, left, step, begin, end, ys, xs, count)
        runs[row - first, 0], runs[row - first, 1] = begin, end
        count += end - begin
    return count


@inner
def gather_runs(source, taps, lower, far, shape, rows, runs, width, cval, out):
    """Fill rows of float32 pixels, interpolated inside of their runs and `cval` outside.

    Parameters
    ----------
    source
        Flat, float32 or uint8, and at least four numbers longer than its pixels.
    taps, lower, far
        From `linear_shares`, for the pixels of all runs.
    shape
        Of the source, up to four channels.
    out
        Likewise longer.
    """
    channels, k = shape[2], 0
    for row in range(rows):
        begin, end = runs[row, 0], runs[row, 1]
        place = row * width * channels
        for value in range(place, place + begin * channels):
            out[np.uintp(value)] = cval
        gather_run(source, taps, lower, far, shape, k, end - begin, out, place + begin * channels)
        # The last pixel of three channels writes a fourth number, where others come now.
        for value in range(place + end * channels, place + width * channels):
            out[np.uintp(value)] = cval
        k += end - begin


@inner
def gather_run(source, taps, lower, far, shape, first, count, out, start):
    """Fill `count` pixels, interpolated, with the taps from `first` on."""
    height, width, channels = shape
    right, down = channels if width > 1 else 0, width * channels if height > 1 else 0
    if channels == 3 and width > 1:
        for k in range(count):
            near = np.uintp(first + k)
            pixel = quads.blend_pairs(source, np.intp(taps[near]), down, lower[near], far[near])
            quads.store(pixel, out, start + 3 * k)
        return
    for k in range(count):
        near = np.uintp(first + k)
        tap, weight = np.intp(taps[near]), quads.spread(lower[near])
        one, other = quads.load(source, tap), quads.load(source, tap + right)
        one = quads.fused(quads.load(source, tap + down) - one, weight, one)
        other = quads.fused(quads.load(source, tap + down + right) - other, weight, other)
        quads.store(
            quads.fused(other - one, quads.spread(far[near]), one), out, start + k * channels
        )


@inner
def mend_runs(shape, margin, ys, xs, rows, runs, width, cval, out):
    """Put `cval` where pixels within a run don't show the source after all."""
    channels, first = shape[2], 0
    low, bottom, right = -margin, shape[0] - 1.0 + margin, shape[1] - 1.0 + margin
    for row in range(rows):
        count, place = runs[row, 1] - runs[row, 0], row * width + runs[row, 0]
        if not all_inside((shape[0], shape[1]), margin, ys, xs, first, first + count):
            for k in range(count):
                y, x = ys[first + k], xs[first + k]
                if not (low <= y <= bottom and low <= x <= right):
                    for channel in range(channels):
                        out[np.uintp((place + k) * channels + channel)] = cval
        first += count
