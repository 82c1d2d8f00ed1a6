"""Masks seen through the same pull as their images: the nearest pixel, of any dtype.

The place is rounded as for images of order 0, so an image that is its own mask stays so.  Numbers
are copied as they lie in memory.
"""

from __future__ import annotations

import numpy as np

from fastaug.kernels.fetching import add_offsets
from fastaug.kernels.launch import inner, shared
from fastaug.kernels.sampling import all_inside, fold_outside, locate, nearest_offsets
from fastaug.kernels.warp import CONSTANT, NEAREST

_BAND = 4096  # pixels


@inner
def pick(source, shape, planar, taps, start, count, out):
    """Fill pixels of a mask, from `start` on, with those of a flat source that taps count."""
    height, across, channels = shape
    size, room = height * across, out.size // channels
    if channels == 1:
        for k in range(count):
            out[np.uintp(start + k)] = source[np.uintp(taps[np.uintp(k)])]
        return
    for k in range(count):
        near, place = np.intp(taps[k]), start + k
        for channel in range(channels):
            index = channel * size + near if planar else near * channels + channel
            target = channel * room + place if planar else place * channels + channel
            out[np.uintp(target)] = source[np.uintp(index)]


@inner
def put(fill, step, apart, channels, place, out):
    """Put a number into all channels of a pixel, which lie `apart`; pixels are a step apart."""
    for channel in range(channels):
        out[np.uintp(place * step + channel * apart)] = fill


@inner
def fill_outside(shape, planar, straight, ys, xs, first, start, count, margin, fill, out):
    """Put `fill` into those pixels of a row, from `start` on, that lie outside of the source.

    Their coordinates begin at `first`; on `straight` lines, those inside are one run.
    """
    height, across, channels = shape
    low, bottom, right = -margin, height - 1.0 + margin, across - 1.0 + margin
    begin, end, ahead = first, first + count, start - first
    step, apart = (1, out.size // channels) if planar else (channels, 1)
    while begin < end and not (low <= ys[begin] <= bottom and low <= xs[begin] <= right):
        put(fill, step, apart, channels, begin + ahead, out)
        begin += 1
    while begin < end and not (low <= ys[end - 1] <= bottom and low <= xs[end - 1] <= right):
        end -= 1
        put(fill, step, apart, channels, end + ahead, out)
    if straight or all_inside((height, across), margin, ys, xs, begin, end):
        return
    for k in range(begin, end):
        if not (low <= ys[k] <= bottom and low <= xs[k] <= right):
            put(fill, step, apart, channels, k + ahead, out)


@shared
def warp_masks(
    masks, chosen, matrices, flips, offsets, layout, fill_mode, margin, fill, out, share, threads
):
    """Warp masks of a batch.

    Parameters
    ----------
    masks
        (any, ...) of unsigned integers, the bits of any dtype; read only.
    chosen
        (n,) which of them make the batch.
    matrices, flips, offsets
        As in `kernels.policy.Program`.
    layout
        Of the masks, a `kernels.batch.Layout`.
    fill_mode, margin
        As there.
    fill
        The bits of what pixels outside get, for `constant`.
    out
        (n, ...), overwritten.
    share, threads
        Which share is made here, of how many.
    """
    count, height, width = len(chosen), layout.height, layout.width
    shape = layout.source_height, layout.source_width, layout.channels
    rows = max(1, _BAND // width)
    ys, xs = np.empty(rows * width + 1, np.float64), np.empty(rows * width + 1, np.float64)
    taps = np.empty(rows * width + 1, np.int32)
    for i in range(count * share // threads, count * (share + 1) // threads):
        source, target = masks[chosen[i]].reshape(-1), out[i].reshape(-1)
        turned = flips[i, 0], flips[i, 1]
        for first in range(0, height, rows):
            last = min(first + rows, height)
            start, pixels = first * width, (last - first) * width
            bent = locate(matrices[i], turned, (height, width), ys, xs, first, last)
            if len(offsets):
                add_offsets(offsets[i], turned, (height, width), ys, xs, first, last)
                bent = True
            if fill_mode != CONSTANT and fill_mode != NEAREST:  # noqa: PLR1714
                across = shape[0], shape[1], 1
                fold_outside(across, width, fill_mode, bent, ys, xs, last - first)
            nearest_offsets(pixels, (shape[0], shape[1], 1), ys, xs, taps)
            pick(source, shape, layout.planar, taps, start, pixels, target)
            if fill_mode == CONSTANT:
                for row in range(first, last):
                    begin = (row - first) * width
                    fill_outside(
                        shape,
                        layout.planar,
                        not bent,
                        ys,
                        xs,
                        begin,
                        row * width,
                        width,
                        margin,
                        fill,
                        target,
                    )
