"""Fetching the pixels of an image, a band of rows at a time: copied, resampled or warped."""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels.batch import source_shape_of
from fastaug.kernels.launch import inlined, inner
from fastaug.kernels.program import RESAMPLE, WARP
from fastaug.kernels.resampling import columns_needed, find_taps, resample_rows
from fastaug.kernels.runs import gather_runs, locate_runs, mend_runs, whole_rows
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
from fastaug.kernels.warp import CONSTANT, NEAREST, is_projective, sample_pixel


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


@inlined
def is_own(program, scalar, desk):
    """Tell whether warps are interpolated in float32: those of Keras have the bits of float64."""
    narrow = desk.picture.itemsize == 4
    return narrow and not scalar and program.order == 1 and program.margin > 0.0


@inlined
def in_bytes(i, program, layout, scalar, desk):
    """Tell whether an image is warped as bytes: a quarter of the memory, and no conversion."""
    fills = program.fill_mode == CONSTANT or program.fill_mode == NEAREST  # noqa: PLR1714
    tall, wide = program.reduced[i, 0], program.reduced[i, 1]
    whole = tall == layout.source_height and wide == layout.source_width
    return len(desk.bytes) > 0 and fills and whole and is_own(program, scalar, desk)


def gather_own(desk, whole, shape, rows, width, cval):
    """Fill located rows; `whole` tells whether the source lies in the desk's bytes."""
    taps, lower, far, out = desk.band.taps, desk.lower, desk.far, desk.picture
    if whole:
        gather_runs(desk.bytes, taps, lower, far, shape, rows, desk.runs, width, cval, out)
    else:
        gather_runs(desk.source, taps, lower, far, shape, rows, desk.runs, width, cval, out)


@overload(gather_own, inline="always")
def _gather_own(desk, whole, shape, rows, width, cval):
    if desk.types[desk.fields.index("picture")].dtype != types.float32:
        return lambda desk, whole, shape, rows, width, cval: None
    return gather_own


@inlined
def warp_own(i, shape, program, layout, desk, whole, first, last):
    """Fill the desk's picture with rows of the source seen through the pull matrix, and offsets."""
    ys, xs, out, pull = desk.band.ys, desk.band.xs, desk.picture, program.matrices[i]
    size, width, rows = (layout.height, layout.width), layout.width, last - first
    flips = program.flips[i, 0], program.flips[i, 1]
    fill_mode, margin, cval = program.fill_mode, program.margin, program.cval
    constant, bent = fill_mode == CONSTANT, is_projective(pull)
    if constant and not len(program.offsets):
        count = locate_runs(pull, flips, size, shape, margin, ys, xs, first, last, desk.runs)
    else:
        count = whole_rows(rows, width, desk.runs)
        locate(pull, flips, size, ys, xs, first, last)
        if len(program.offsets):
            add_offsets(program.offsets[i], flips, size, ys, xs, first, last)
            bent = True
    folded = not constant and fill_mode != NEAREST
    if folded:
        fold_outside(shape, width, fill_mode, bent, ys, xs, rows)
    linear_shares(count, shape, ys, xs, desk.band.taps, desk.lower, desk.far)
    gather_own(desk, whole, shape, rows, width, cval)
    if folded:
        mend_folded(desk.source, count, shape, ys, xs, out, 0)
    elif constant and bent:
        mend_runs(shape, margin, ys, xs, rows, desk.runs, width, cval, out)


@inlined
def warp_band(i, shape, program, layout, scalar, desk, first, last):
    """Do the same to the bits of float64, or for order 0, or for any number of channels."""
    ys, xs, taps, upper, left, edge = desk.band
    size, order, fill_mode = (layout.height, layout.width), program.order, program.fill_mode
    width, count, rows = layout.width, (last - first) * layout.width, last - first
    flips = program.flips[i, 0], program.flips[i, 1]
    source, out = desk.source, desk.picture
    bent = locate(program.matrices[i], flips, size, ys, xs, first, last)
    if len(program.offsets):
        add_offsets(program.offsets[i], flips, size, ys, xs, first, last)
        bent = True
    folded = fill_mode != CONSTANT and fill_mode != NEAREST  # noqa: PLR1714
    if folded:
        fold_outside(shape, width, fill_mode, bent, ys, xs, rows)
    if scalar:
        gather_any(source, shape, ys, xs, count, order, fill_mode <= NEAREST, out, 0)
    else:
        if order == 0:
            nearest_offsets(count, shape, ys, xs, taps)
        else:
            linear_offsets(count, shape, ys, xs, taps, upper, left)
        gather(source, taps, upper, left, order, shape, count, edge, out, 0)
        if folded and order == 1:
            mend_folded(source, count, shape, ys, xs, out, 0)
    if fill_mode == CONSTANT:
        fill_beside(shape, width, program.margin, program.cval, not bent, ys, xs, rows, out)


@inlined
def fetch(image, shape, i, program, layout, scalar, desk, numbers, needed, first, last):
    """Fill the desk's picture with rows as they are after all moves."""
    out, start = desk.picture, 0
    way, planar, source = program.ways[i], layout.planar, image.reshape(-1)
    if way == WARP and is_own(program, scalar, desk):
        whole = in_bytes(i, program, layout, scalar, desk)
        warp_own(i, shape, program, layout, desk, whole, first, last)
    elif way == WARP:
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
