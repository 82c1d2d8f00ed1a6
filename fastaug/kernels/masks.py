"""Masks seen through the same pull as their images: the nearest pixel, of any dtype.

The place is rounded as for images of order 0, so an image that is its own mask stays so.  Numbers
are copied as they lie in memory.
"""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inlined, inner, shared
from fastaug.kernels.sampling import fold_outside, locate
from fastaug.kernels.warp import CONSTANT, NEAREST


@inner
def pick(source, shape, planar, ys, xs, width, row, fills, margin, fill, out):
    """Fill a row of a mask with the nearest pixels of a flat source."""
    height, across, channels = shape
    bottom, right = height - 1.0, across - 1.0
    size, room = height * across, out.size // channels
    for col in range(width):
        y, x = ys[col], xs[col]
        outside = fills and not (-margin <= y <= bottom + margin and -margin <= x <= right + margin)
        near = int(min(max(0.0, np.floor(y + 0.5)), bottom)) * across
        near += int(min(max(0.0, np.floor(x + 0.5)), right))
        place = row * width + col
        for channel in range(channels):
            index = channel * size + near if planar else near * channels + channel
            target = channel * room + place if planar else place * channels + channel
            out[np.uintp(target)] = fill if outside else source[np.uintp(index)]


@inlined
def offset(offsets, i, origin, flipped, width, ys, xs):
    """Add the offsets of a row to its coordinates."""
    for col in range(width):
        place = width - 1 - col if flipped else col
        ys[col] += offsets[i, origin, place, 0]
        xs[col] += offsets[i, origin, place, 1]


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
    ys, xs = np.empty(width + 1, np.float64), np.empty(width + 1, np.float64)
    for i in range(count * share // threads, count * (share + 1) // threads):
        source, target = masks[chosen[i]].reshape(-1), out[i].reshape(-1)
        turned = flips[i, 0], flips[i, 1]
        for row in range(height):
            locate(matrices[i], turned, (height, width), ys, xs, row, row + 1)
            if len(offsets):
                origin = height - 1 - row if turned[0] else row
                offset(offsets, i, origin, turned[1], width, ys, xs)
            if fill_mode != CONSTANT and fill_mode != NEAREST:  # noqa: PLR1714
                fold_outside((shape[0], shape[1], 1), width, fill_mode, True, ys, xs, 1)
            fills = fill_mode == CONSTANT
            pick(source, shape, layout.planar, ys, xs, width, row, fills, margin, fill, target)
