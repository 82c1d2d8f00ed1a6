"""The kernels that do a whole batch.

An image is made a band of rows at a time, which is finished while it is in the cache.  What takes a
statistic of the image (channel shift, brightness, samplewise) sweeps over it once more:

    source --copy--> scratch --warp--> band --steps--> batch                  (no statistic)
                                       band --extremes--> image --shift, brightness, steps--> batch
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from fastaug.kernels import lanes
from fastaug.kernels.launch import inlined, inner, parallel
from fastaug.kernels.pointwise import (
    run_steps,
    scale_brightness,
    shift_channels,
    standardize_sample,
    sum_rows,
    widen_extremes,
)
from fastaug.kernels.sampling import sample_rows
from fastaug.kernels.storing import choose_place, copy_rows, is_direct, store_rows
from fastaug.kernels.warp import warp_rows

# Pixels of a band: with their coordinates they stay in the smallest cache.
_BAND = 768
_ROWS_OF_A_BLOCK = 32


class Transforms(NamedTuple):
    """What is drawn for each image: arrays (n,), matrices (n, 2, 3) float64."""

    matrices: np.ndarray
    warped: np.ndarray  # bool
    flip_vertical: np.ndarray  # bool
    flip_horizontal: np.ndarray  # bool
    order: int  # 0 or 1
    fill_mode: int  # of warp.FILL_MODES
    cval: float
    shifts: np.ndarray  # in the dtype of the computation; (0,) where off
    factors: np.ndarray  # brightness, float32; (0,) where off
    quirks: bool


class Finish(NamedTuple):
    """What is the same for all images: steps of `run_steps`, and between them the samplewise."""

    steps: np.ndarray
    operands: np.ndarray  # in the dtype of the computation
    sample_center: bool
    sample_normalize: bool
    sample_step: int  # how many steps come before


class Layout(NamedTuple):
    """Shape of an image, and whether its channels come first: in the source and in the batch."""

    height: int
    width: int
    channels: int
    planar: bool


class Room(NamedTuple):
    """Scratch memory of one thread, in the dtype of the computation unless it says otherwise."""

    source: np.ndarray  # an image + lanes.WIDTH
    values: np.ndarray  # an image, where the batch can't hold it while it is made
    lows: np.ndarray  # a row
    highs: np.ndarray  # a row
    sums: np.ndarray  # (height,) float64
    band: tuple[np.ndarray, ...]  # see sampling.sample_rows


@inlined
def make_room(layout, operands, direct):
    """Allocate a thread's scratch memory."""
    height, width, channels = shape_of(layout)
    dtype = operands.dtype
    count = rows_of_a_band(layout) * width + 1
    band = (
        np.empty(count, np.float64),
        np.empty(count, np.float64),
        np.empty(count, np.int32),
        np.empty(count, np.float64),
        np.empty(count, np.float64),
        np.empty(lanes.PIXELS * lanes.WIDTH, dtype),
    )
    return Room(
        np.empty(height * width * channels + lanes.WIDTH, dtype),
        np.empty(0 if direct else height * width * channels, dtype),
        np.empty(width * channels, dtype),
        np.empty(width * channels, dtype),
        np.empty(height, np.float64),
        band,
    )


@inlined
def shape_of(layout):
    """Return (height, width, channels)."""
    return layout.height, layout.width, layout.channels


@inlined
def rows_of_a_band(layout):
    """Return how many rows make a band."""
    return max(1, _BAND // layout.width)


@inner
def clear_extremes(lows, highs):
    """Forget what was noted."""
    lows[:] = np.inf
    highs[:] = -np.inf


@inner
def extremes(lows, highs):
    """Return the lowest of `lows` and the highest of `highs`."""
    return lows.min(), highs.max()


@inner
def total(sums):
    """Return the sum, one after the other: in a parallel kernel, `sum()` would split it up."""
    result = 0.0
    for k in range(len(sums)):
        result += sums[k]
    return result


@inlined
def is_tracked(transforms):
    """Tell whether an image's extremes are needed before its values can be changed."""
    return len(transforms.shifts) > 0 or len(transforms.factors) > 0


@inlined
def move(image, source, transforms, i, layout, band, plain, values, first, last):
    """Fill rows with the warped image, or with the source where it isn't warped; both flipped."""
    flips = transforms.flip_vertical[i], transforms.flip_horizontal[i]
    if not transforms.warped[i]:
        copy_rows(image, flips, shape_of(layout), layout.planar, values, first, last)
        return
    order, fill_mode, cval = transforms.order, transforms.fill_mode, transforms.cval
    pull, shape = transforms.matrices[i], shape_of(layout)
    if plain is None:
        sample_rows(source, pull, flips, order, fill_mode, cval, shape, band, values, first, last)
    else:
        warp_rows(source, pull, flips, order, fill_mode, cval, shape, values, first, last)


@inlined
def settle(layout, finish, sums, values, first, last):
    """Do what can be done before the image's own mean is known, or else all of it."""
    _, width, channels = shape_of(layout)
    length = width * channels
    sampled = finish.sample_center or finish.sample_normalize
    steps = finish.steps[: finish.sample_step] if sampled else finish.steps
    run_steps(values, first * length, last * length, channels, steps, finish.operands)
    if sampled:
        sum_rows(values, first, last, length, 0.0, False, sums)


@inlined
def make_bands(
    image, source, transforms, i, layout, finish, room, sums, plain, values, first, last
):
    """Make rows, a band at a time; settle each band, or note its extremes."""
    size = rows_of_a_band(layout)
    tracked = is_tracked(transforms)
    if tracked:
        clear_extremes(room.lows, room.highs)
    for begin in range(first, last, size):
        end = min(begin + size, last)
        move(image, source, transforms, i, layout, room.band, plain, values, begin, end)
        if tracked:
            widen_extremes(values, begin, end, room.lows, room.highs)
        else:
            settle(layout, finish, sums, values, begin, end)


@inlined
def adjust(transforms, i, layout, finish, low, high, sums, values, first, last):
    """Shift channels and scale brightness of an image from `low` to `high`, and settle it."""
    _, width, channels = shape_of(layout)
    size = rows_of_a_band(layout)
    for begin in range(first, last, size):
        end = min(begin + size, last)
        start, stop = begin * width * channels, end * width * channels
        dark, bright = low, high
        if len(transforms.shifts):
            shift = transforms.shifts[i]
            shift_channels(values, start, stop, shift, low, high)
            # A shift keeps the order of values, so the extremes move as they do.
            dark, bright = min(max(low + shift, low), high), min(max(high + shift, low), high)
        if len(transforms.factors):
            factor, quirks = transforms.factors[i], transforms.quirks
            scale_brightness(values, start, stop, channels, factor, dark, bright, quirks)
        settle(layout, finish, sums, values, begin, end)


@inlined
def standardize(layout, finish, mean, deviation, values, first, last):
    """Standardise by the image's own statistics, and do the steps behind that."""
    _, width, channels = shape_of(layout)
    start, stop = first * width * channels, last * width * channels
    center = mean if finish.sample_center else 0.0
    divisor = deviation + 1e-6 if finish.sample_normalize else 1.0
    standardize_sample(values, start, stop, center, divisor)
    steps, operands = finish.steps[finish.sample_step :], finish.operands[finish.sample_step :]
    run_steps(values, start, stop, channels, steps, operands)


@inlined
def sample(layout, finish, sums, values):
    """Standardise an image by its own statistics, all in this thread; `sums` are those of rows."""
    height, width, channels = shape_of(layout)
    if finish.sample_center or finish.sample_normalize:
        mean = total(sums) / values.size
        sum_rows(values, 0, height, width * channels, mean, True, sums)
        standardize(layout, finish, mean, np.sqrt(total(sums) / values.size), values, 0, height)


@inlined
def augment_image(image, transforms, i, layout, finish, room, plain, out):
    """Do one image, all of its rows in this thread."""
    height, shape, planar = layout.height, shape_of(layout), layout.planar
    source, sums = room.source, room.sums
    direct = is_direct(source, out, planar)
    values = choose_place(direct, room.values, out)
    if transforms.warped[i]:
        copy_rows(image, (False, False), shape, planar, source, 0, height)
    make_bands(image, source, transforms, i, layout, finish, room, sums, plain, values, 0, height)
    if is_tracked(transforms):
        low, high = extremes(room.lows, room.highs)
        adjust(transforms, i, layout, finish, low, high, sums, values, 0, height)
    sample(layout, finish, sums, values)
    if not direct:
        store_rows(values, shape, planar, out, 0, height)


@parallel
def augment_images(images, chosen, transforms, layout, finish, plain, out, threads):
    """Augment and standardise a batch, a share of the images in each thread.

    Parameters
    ----------
    images
        (any, height, width, channels), or channels first; uint8 or the dtype of the computation;
        read only.
    chosen
        (n,) which of them make the batch.
    transforms, layout, finish
        What to do.
    plain
        None, or True to warp by `warp.warp_rows` (a kernel of its own is compiled for it).
    out
        (n, ...), overwritten: the dtype of the computation, uint8, or uint16 for float16's bits.
    threads
        How many shares to make.
    """
    count = len(chosen)
    for share in prange(threads):
        room = make_room(layout, finish.operands, is_direct(finish.operands, out, layout.planar))
        for i in range(count * share // threads, count * (share + 1) // threads):
            augment_image(images[chosen[i]], transforms, i, layout, finish, room, plain, out[i])


@parallel
def finish_images(images, layout, finish, out, threads):
    """Do to a whole batch, in the dtype of the computation, what is the same for all images.

    `out` may be `images`.
    """
    count, height = len(images), layout.height
    for share in prange(threads):
        direct = is_direct(finish.operands, out, layout.planar)
        room = make_room(layout, finish.operands, direct)
        for i in range(count * share // threads, count * (share + 1) // threads):
            values = choose_place(direct, room.values, out[i])
            shape = shape_of(layout)
            copy_rows(images[i], (False, False), shape, layout.planar, values, 0, height)
            settle(layout, finish, room.sums, values, 0, height)
            sample(layout, finish, room.sums, values)
            if not direct:
                store_rows(values, shape_of(layout), layout.planar, out[i], 0, height)


@parallel
def augment_blocks(images, chosen, transforms, layout, finish, plain, out):
    """Do the same for few or large images: one after another, blocks of rows in parallel."""
    height, width, channels = shape_of(layout)
    blocks = (height + _ROWS_OF_A_BLOCK - 1) // _ROWS_OF_A_BLOCK
    direct = is_direct(finish.operands, out, layout.planar)
    shared = make_room(layout, finish.operands, direct)
    source, sums = shared.source, shared.sums
    lows, highs = np.empty(blocks, source.dtype), np.empty(blocks, source.dtype)
    sampled = finish.sample_center or finish.sample_normalize
    for i in range(len(chosen)):
        image, target = images[chosen[i]], out[i]
        values = choose_place(direct, shared.values, target)
        for block in prange(blocks if transforms.warped[i] else 0):
            first = block * _ROWS_OF_A_BLOCK
            last = min(first + _ROWS_OF_A_BLOCK, height)
            copy_rows(image, (False, False), shape_of(layout), layout.planar, source, first, last)
        for block in prange(blocks):
            first = block * _ROWS_OF_A_BLOCK
            last = min(first + _ROWS_OF_A_BLOCK, height)
            room = make_room(Layout(0, width, channels, False), finish.operands, True)
            make_bands(
                image, source, transforms, i, layout, finish, room, sums, plain, values, first, last
            )
            lows[block], highs[block] = extremes(room.lows, room.highs)
        low, high = extremes(lows, highs)
        for block in prange(blocks if is_tracked(transforms) else 0):
            first = block * _ROWS_OF_A_BLOCK
            last = min(first + _ROWS_OF_A_BLOCK, height)
            adjust(transforms, i, layout, finish, low, high, sums, values, first, last)
        mean = total(sums) / values.size
        for block in prange(blocks if sampled else 0):
            first = block * _ROWS_OF_A_BLOCK
            last = min(first + _ROWS_OF_A_BLOCK, height)
            sum_rows(values, first, last, width * channels, mean, True, sums)
        deviation = np.sqrt(total(sums) / values.size)
        for block in prange(blocks):
            first = block * _ROWS_OF_A_BLOCK
            last = min(first + _ROWS_OF_A_BLOCK, height)
            if sampled:
                standardize(layout, finish, mean, deviation, values, first, last)
            if not direct:
                store_rows(values, shape_of(layout), layout.planar, target, first, last)
