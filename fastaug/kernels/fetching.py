"""Fetching the pixels of an image, a band of rows at a time: copied, resampled or warped."""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels import quads
from fastaug.kernels.batch import source_shape_of
from fastaug.kernels.launch import inlined, inner
from fastaug.kernels.program import RESAMPLE, WARP
from fastaug.kernels.resampling import columns_needed, find_taps, resample_rows
from fastaug.kernels.sampling import (
    all_inside,
    fold_outside,
    gather,
    linear_offsets,
    linear_shares,
    locate,
    nearest_offsets,
)
from fastaug.kernels.storing import copy_row, copy_rows
from fastaug.kernels.warp import CONSTANT, NEAREST, sample_pixel


@inner
def add_offsets(offsets, flips, size, ys, xs, first, last):
    """Add the rows' offsets (height, width, 2), flipped, to their coordinates."""
    height, width = size
    for row in range(first, last):
        origin, start = height - 1 - row if flips[0] else row, (row - first) * width
        for col in range(width):
            place = width - 1 - col if flips[1] else col
            ys[np.uintp(start + col)] += offsets[origin, place, 0]
            xs[np.uintp(start + col)] += offsets[origin, place, 1]


@inner
def gather_any(source, shape, ys, xs, count, order, nearest, out, start):
    """Fill pixels of any number of channels, one after the other."""
    bottom, right = shape[0] - 1.0, shape[1] - 1.0
    for k in range(count):
        y, x = ys[k], xs[k]
        if nearest:
            y, x = min(max(0.0, y), bottom), min(max(0.0, x), right)
        sample_pixel(source, shape, y, x, order, out, start + k * shape[2])


@inner
def mend_folded(source, count, shape, ys, xs, out, start):
    """Do those pixels again that `reflect` and `wrap` leave beside the source."""
    bottom, right = shape[0] - 1.0, shape[1] - 1.0
    for k in range(count):
        y, x = ys[k], xs[k]
        if y < 0.0 or y > bottom or x < 0.0 or x > right:
            sample_pixel(source, shape, y, x, 1, out, start + k * shape[2])


@inner
def fill_beside(shape, width, margin, cval, straight, ys, xs, rows, out):
    """Put `cval` where the coordinates of located rows are outside the picture.

    Where they lie on `straight` lines, those inside are one run; and nearly always if not.
    """
    channels, low = shape[2], -margin
    bottom, right = shape[0] - 1.0 + margin, shape[1] - 1.0 + margin
    for row in range(rows):
        begin, end = row * width, (row + 1) * width
        while begin < end and not (low <= ys[begin] <= bottom and low <= xs[begin] <= right):
            for channel in range(channels):
                out[np.uintp(begin * channels + channel)] = cval
            begin += 1
        while begin < end and not (low <= ys[end - 1] <= bottom and low <= xs[end - 1] <= right):
            end -= 1
            for channel in range(channels):
                out[np.uintp(end * channels + channel)] = cval
        if straight or all_inside((shape[0], shape[1]), margin, ys, xs, begin, end):
            continue
        for k in range(begin, end):
            if not (low <= ys[k] <= bottom and low <= xs[k] <= right):
                for channel in range(channels):
                    out[np.uintp(k * channels + channel)] = cval


@inner
def gather_quads(source, taps, lower, far, shape, count, out):
    """Fill `count` pixels of float32, interpolated; from `linear_shares`, up to four channels.

    `source`, float32 or uint8, and `out` are at least four numbers longer than their pixels.
    """
    height, width, channels = shape
    right, down = channels if width > 1 else 0, width * channels if height > 1 else 0
    if channels == 3 and width > 1:
        for k in range(count):
            tap = np.intp(taps[np.uintp(k)])
            weights = lower[np.uintp(k)], far[np.uintp(k)]
            quads.store(quads.blend_pairs(source, tap, down, weights[0], weights[1]), out, 3 * k)
        return
    for k in range(count):
        tap, weight = np.intp(taps[np.uintp(k)]), quads.spread(lower[np.uintp(k)])
        near, other = quads.load(source, tap), quads.load(source, tap + right)
        near = quads.fused(quads.load(source, tap + down) - near, weight, near)
        other = quads.fused(quads.load(source, tap + down + right) - other, weight, other)
        quads.store(
            quads.fused(other - near, quads.spread(far[np.uintp(k)]), near), out, k * channels
        )


@inlined
def in_bytes(i, program, layout, scalar, desk):
    """Tell whether an image is warped as bytes: a quarter of the memory, and no conversion."""
    own = len(desk.bytes) > 0 and not scalar and program.order == 1 and program.margin > 0.0
    fills = program.fill_mode == CONSTANT or program.fill_mode == NEAREST  # noqa: PLR1714
    tall, wide = program.reduced[i, 0], program.reduced[i, 1]
    return own and fills and tall == layout.source_height and wide == layout.source_width


def gather_desk(desk, shape, whole, count):
    """Fill located pixels, interpolated in float32, and tell whether it was done: not in float64.

    `whole` tells whether the source lies in the desk's bytes.
    """
    linear_shares(count, shape, desk.band.ys, desk.band.xs, desk.band.taps, desk.lower, desk.far)
    if whole:
        gather_quads(desk.bytes, desk.band.taps, desk.lower, desk.far, shape, count, desk.picture)
    else:
        gather_quads(desk.source, desk.band.taps, desk.lower, desk.far, shape, count, desk.picture)
    return True


@overload(gather_desk, inline="always")
def _gather_desk(desk, shape, whole, count):
    if desk.types[desk.fields.index("picture")].dtype != types.float32:
        return lambda desk, shape, whole, count: False
    return gather_desk


@inlined
def warp_band(i, shape, program, layout, scalar, desk, first, last):
    """Fill the desk's picture with rows of the source seen through the pull matrix, and offsets."""
    ys, xs, taps, upper, left, edge = desk.band
    size, order, fill_mode = (layout.height, layout.width), program.order, program.fill_mode
    width, count, rows = layout.width, (last - first) * layout.width, last - first
    flips = program.flips[i, 0], program.flips[i, 1]
    source, out = desk.source, desk.picture
    bent = locate(program.matrices[i], flips, size, ys, xs, first, last)
    if len(program.offsets):
        add_offsets(program.offsets[i], flips, size, ys, xs, first, last)
        bent = True
    if fill_mode != CONSTANT and fill_mode != NEAREST:  # noqa: PLR1714
        fold_outside(shape, width, fill_mode, bent, ys, xs, rows)
    if scalar:
        gather_any(source, shape, ys, xs, count, order, fill_mode <= NEAREST, out, 0)
    else:
        # Keras' warps have the bits of float64.
        done = order == 1 and program.margin > 0.0
        if done:
            done = gather_desk(desk, shape, in_bytes(i, program, layout, scalar, desk), count)
        if not done:
            if order == 0:
                nearest_offsets(count, shape, ys, xs, taps)
            else:
                linear_offsets(count, shape, ys, xs, taps, upper, left)
            gather(source, taps, upper, left, order, shape, count, edge, out, 0)
        if fill_mode != CONSTANT and fill_mode != NEAREST and order == 1:  # noqa: PLR1714
            mend_folded(source, count, shape, ys, xs, out, 0)
    if fill_mode == CONSTANT:
        fill_beside(shape, width, program.margin, program.cval, not bent, ys, xs, rows, out)


@inlined
def fetch(image, shape, i, program, layout, scalar, desk, numbers, needed, first, last):
    """Fill the desk's picture with rows as they are after all moves."""
    out, start = desk.picture, 0
    way, planar, source = program.ways[i], layout.planar, image.reshape(-1)
    if way == WARP:
        warp_band(i, shape, program, layout, scalar, desk, first, last)
    elif way == RESAMPLE:
        cval, width = program.cval, layout.width
        line, rows, cols = desk.line, desk.rows, desk.cols
        resample_rows(
            source,
            shape,
            planar,
            rows,
            cols,
            numbers,
            needed,
            width,
            scalar,
            cval,
            line,
            out,
            start,
            first,
            last,
        )
    elif planar or program.flips[i, 0] or program.flips[i, 1]:
        for row in range(first, last):
            origin = layout.height - 1 - row if program.flips[i, 0] else row
            copy_row(source, origin, program.flips[i, 1], shape, planar, out, start)
            start += layout.width * layout.channels
    else:
        begin, count = first * layout.width * layout.channels, (last - first) * layout.width
        for k in range(count * layout.channels):
            out[np.uintp(start + k)] = source[np.uintp(begin + k)]


@inlined
def set_up(image, i, program, layout, scalar, desk):
    """Get ready to fetch: return the shape of the source, numbers of taps, and columns needed."""
    shape = source_shape_of(layout)
    way = program.ways[i]
    height, width = layout.source_height, layout.source_width
    numbers, needed = (1, 1), (0, width)
    if way == RESAMPLE:
        pull, clamps = program.matrices[i], program.fill_mode == NEAREST
        flips, antialias = program.flips[i], program.antialias
        rows = find_taps(
            pull[0, 2], pull[0, 0], flips[0], layout.height, height, antialias, clamps, desk.rows
        )
        cols = find_taps(
            pull[1, 2], pull[1, 1], flips[1], layout.width, width, antialias, clamps, desk.cols
        )
        numbers, needed = (rows, cols), columns_needed(desk.cols, layout.width, cols)
    elif way == WARP:
        tall, wide = program.reduced[i, 0], program.reduced[i, 1]
        if in_bytes(i, program, layout, scalar, desk):
            copy_rows(image, (False, False), shape, layout.planar, desk.bytes, 0, height)
        elif tall == height and wide == width:
            copy_rows(image, (False, False), shape, layout.planar, desk.source, 0, height)
        else:
            step_y, step_x = height / tall, width / wide
            rows = find_taps((step_y - 1) / 2, step_y, False, tall, height, True, True, desk.rows)
            cols = find_taps((step_x - 1) / 2, step_x, False, wide, width, True, True, desk.cols)
            resample_rows(
                image.reshape(-1),
                shape,
                layout.planar,
                desk.rows,
                desk.cols,
                (rows, cols),
                needed,
                wide,
                scalar,
                0.0,
                desk.line,
                desk.source,
                0,
                0,
                tall,
            )
            shape = tall, wide, layout.channels
    return shape, numbers, needed
