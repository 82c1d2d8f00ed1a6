"""The kernels that do a whole batch.

An image is made a band of rows at a time, which is finished while it is in the cache.  What takes a
statistic of the image (channel shift, brightness, samplewise) sweeps over it once more:

    source --copy--> scratch --warp--> band --its steps, those of all--> batch     (no statistic)
                                       band --extremes--> image --the same--> batch
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from fastaug.kernels import lanes
from fastaug.kernels.launch import inlined, inner, parallel
from fastaug.kernels.pointwise import (
    change_values,
    follow_extremes,
    run_steps,
    standardize_sample,
    sum_rows,
    widen_extremes,
)
from fastaug.kernels.sampling import Band, sample_rows
from fastaug.kernels.storing import choose_place, copy_rows, is_direct, store_rows
from fastaug.kernels.warp import warp_rows

# Pixels of a band: with their coordinates they stay in the smallest cache.
_BAND = 768
_ROWS_OF_A_BLOCK = 32


class Plan(NamedTuple):
    """What is drawn for each image, as the kernels take it."""

    matrices: np.ndarray  # (n, 3, 3) float64: see `warp.warp_rows`
    moved: np.ndarray  # (n,) bool: the others are copied, so True where the batch has another size
    flips: np.ndarray  # (n, 2) bool: upside down, left to right
    codes: np.ndarray  # (n, k) int8: see `pointwise.change_values`
    numbers: np.ndarray  # (n, k, m) in the dtype of the computation
    extremes: bool  # whether a code of the batch needs the image's own extremes
    order: int  # 0 or 1
    fill_mode: int  # of warp.FILL_MODES
    cval: float


class Finish(NamedTuple):
    """What is the same for all images: steps of `run_steps`, and between them the samplewise."""

    steps: np.ndarray
    operands: np.ndarray  # in the dtype of the computation
    sample_center: bool
    sample_normalize: bool
    sample_step: int  # how many steps come before


class Layout(NamedTuple):
    """Shape of an image of the batch, whether channels come first, and the size of a source.

    `planar` is about both.
    """

    height: int
    width: int
    channels: int
    planar: bool
    source_height: int
    source_width: int


class Scratch(NamedTuple):
    """Scratch memory of one thread, in the dtype of the computation unless it says otherwise."""

    source: np.ndarray  # an image of the source's size + lanes.WIDTH
    values: np.ndarray  # an image, where the batch can't hold it while it is made
    lows: np.ndarray  # a row
    highs: np.ndarray  # a row
    sums: np.ndarray  # (height,) float64
    band: Band


@inlined
def make_scratch(layout, operands, direct, sums):
    """Allocate a thread's scratch memory, but for `sums`, (height,) float64."""
    height, width, channels = shape_of(layout)
    dtype = operands.dtype
    count = rows_of_a_band(layout) * width + 1
    band = Band(
        np.empty(count, np.float64),
        np.empty(count, np.float64),
        np.empty(count, np.int32),
        np.empty(count, np.float64),
        np.empty(count, np.float64),
        np.empty(lanes.PIXELS * lanes.WIDTH, dtype),
    )
    return Scratch(
        np.empty(layout.source_height * layout.source_width * channels + lanes.WIDTH, dtype),
        np.empty(0 if direct else height * width * channels, dtype),
        np.empty(width * channels, dtype),
        np.empty(width * channels, dtype),
        sums,
        band,
    )


@inlined
def shape_of(layout):
    """Return (height, width, channels) of an image of the batch."""
    return layout.height, layout.width, layout.channels


@inlined
def source_shape_of(layout):
    """Return (height, width, channels) of a source."""
    return layout.source_height, layout.source_width, layout.channels


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
    """Return the lowest of `lows` and the highest of `highs`; `min()` takes longer to compile."""
    low, high = lows[0], highs[0]
    for k in range(len(lows)):
        low, high = min(low, lows[k]), max(high, highs[k])
    return low, high


@inner
def total(sums):
    """Return the sum, one after the other: in a parallel kernel, `sum()` would split it up."""
    result = 0.0
    for k in range(len(sums)):
        result += sums[k]
    return result


@inlined
def move(image, source, plan, i, layout, band, plain, values, first, last):
    """Fill rows with the warped image, or with the source where it isn't warped; both flipped."""
    flips = plan.flips[i, 0], plan.flips[i, 1]
    if not plan.moved[i]:
        copy_rows(image, flips, shape_of(layout), layout.planar, values, first, last)
        return
    order, fill_mode, cval, pull = plan.order, plan.fill_mode, plan.cval, plan.matrices[i]
    shape, size = source_shape_of(layout), (layout.height, layout.width)
    if plain is None:
        sample_rows(
            source, pull, flips, order, fill_mode, cval, shape, size, band, values, first, last
        )
    else:
        warp_rows(source, pull, flips, order, fill_mode, cval, shape, size, values, first, last)


@inlined
def settle(layout, finish, sums, values, first, last):
    """Do what can be done before the image's own mean is known, or else all of it."""
    _, width, channels = shape_of(layout)
    length = width * channels
    sampled = finish.sample_center or finish.sample_normalize
    start, stop = first * length, last * length
    count = finish.sample_step if sampled else len(finish.steps)
    run_steps(values, start, stop, channels, finish, 0, count)
    if sampled:
        sum_rows(values, first, last, length, 0.0, False, sums)


@inlined
def change_rows(plan, i, layout, low, high, values, first, last):
    """Do the own steps of an image whose values are from `low` to `high`, one after another."""
    _, width, channels = shape_of(layout)
    start, stop = first * width * channels, last * width * channels
    dark, bright = low, high
    for step in range(plan.codes.shape[1]):
        code, number = plan.codes[i, step], plan.numbers[i, step, 0]
        change_values(values, start, stop, channels, code, number, dark, bright)
        dark, bright = follow_extremes(code, number, dark, bright)


@inlined
def make_bands(
    image, source, plan, i, layout, finish, scratch, plain, made, limits, values, first, last
):
    """Make rows, a band at a time, and do all steps to each.

    Where steps need the image's extremes, these are only noted; once they are known, as `limits`,
    and the rows are `made`, a second call does the steps.  (Two loops would compile twice.)
    """
    size = rows_of_a_band(layout)
    low, high = limits
    noting = plan.extremes and not made
    if noting:
        clear_extremes(scratch.lows, scratch.highs)
    for begin in range(first, last, size):
        end = min(begin + size, last)
        if not made:
            move(image, source, plan, i, layout, scratch.band, plain, values, begin, end)
        if noting:
            widen_extremes(values, begin, end, scratch.lows, scratch.highs)
        else:
            change_rows(plan, i, layout, low, high, values, begin, end)
            settle(layout, finish, scratch.sums, values, begin, end)


@inlined
def standardize_rows(layout, finish, mean, deviation, values, first, last):
    """Standardise by the image's own statistics, and do the steps behind that."""
    _, width, channels = shape_of(layout)
    start, stop = first * width * channels, last * width * channels
    center = mean if finish.sample_center else 0.0
    divisor = deviation + 1e-6 if finish.sample_normalize else 1.0
    standardize_sample(values, start, stop, center, divisor)
    run_steps(values, start, stop, channels, finish, finish.sample_step, len(finish.steps))


@inlined
def sample(layout, finish, sums, values):
    """Standardise an image by its own statistics, all in this thread; `sums` are those of rows."""
    height, width, channels = shape_of(layout)
    if finish.sample_center or finish.sample_normalize:
        mean = total(sums) / values.size
        sum_rows(values, 0, height, width * channels, mean, True, sums)
        standardize_rows(
            layout, finish, mean, np.sqrt(total(sums) / values.size), values, 0, height
        )


@inlined
def augment_image(image, plan, i, layout, finish, scratch, plain, out):
    """Do one image, all of its rows in this thread."""
    height, shape, planar = layout.height, shape_of(layout), layout.planar
    source = scratch.source
    direct = is_direct(source, out, planar)
    values = choose_place(direct, scratch.values, out)
    if plan.moved[i]:
        source_shape = source_shape_of(layout)
        copy_rows(image, (False, False), source_shape, planar, source, 0, layout.source_height)
    limits = values.dtype.type(0), values.dtype.type(0)
    for turn in range(2 if plan.extremes else 1):
        made = turn == 1
        if made:
            limits = extremes(scratch.lows, scratch.highs)
        make_bands(
            image, source, plan, i, layout, finish, scratch, plain, made, limits, values, 0, height
        )
    sample(layout, finish, scratch.sums, values)
    if not direct:
        store_rows(values, shape, planar, out, 0, height)


@parallel
def augment_images(images, chosen, plan, layout, finish, plain, out, threads):
    """Augment and standardise a batch, a share of the images in each thread.

    Parameters
    ----------
    images
        (any, height, width, channels), or channels first; uint8 or the dtype of the computation;
        read only.
    chosen
        (n,) which of them make the batch.
    plan, layout, finish
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
        direct = is_direct(finish.operands, out, layout.planar)
        scratch = make_scratch(layout, finish.operands, direct, np.empty(layout.height))
        for i in range(count * share // threads, count * (share + 1) // threads):
            augment_image(images[chosen[i]], plan, i, layout, finish, scratch, plain, out[i])


@parallel
def finish_images(images, layout, finish, out, threads):
    """Do to a whole batch, in the dtype of the computation, what is the same for all images.

    `out` may be `images`.
    """
    count, height = len(images), layout.height
    for share in prange(threads):
        direct = is_direct(finish.operands, out, layout.planar)
        scratch = make_scratch(layout, finish.operands, direct, np.empty(layout.height))
        for i in range(count * share // threads, count * (share + 1) // threads):
            values = choose_place(direct, scratch.values, out[i])
            shape = shape_of(layout)
            copy_rows(images[i], (False, False), shape, layout.planar, values, 0, height)
            settle(layout, finish, scratch.sums, values, 0, height)
            sample(layout, finish, scratch.sums, values)
            if not direct:
                store_rows(values, shape_of(layout), layout.planar, out[i], 0, height)


@parallel
def augment_blocks(images, chosen, plan, layout, finish, plain, out):
    """Do the same for few or large images: one after another, blocks of rows in parallel."""
    height, width, channels = shape_of(layout)
    source_height, planar = layout.source_height, layout.planar
    blocks = (height + _ROWS_OF_A_BLOCK - 1) // _ROWS_OF_A_BLOCK
    source_blocks = (source_height + _ROWS_OF_A_BLOCK - 1) // _ROWS_OF_A_BLOCK
    direct = is_direct(finish.operands, out, planar)
    sums = np.empty(height)
    shared = make_scratch(layout, finish.operands, direct, sums)
    source = shared.source
    lows, highs = np.empty(blocks, source.dtype), np.empty(blocks, source.dtype)
    sampled = finish.sample_center or finish.sample_normalize
    for i in range(len(chosen)):
        image, target = images[chosen[i]], out[i]
        values = choose_place(direct, shared.values, target)
        for block in prange(source_blocks if plan.moved[i] else 0):
            first = block * _ROWS_OF_A_BLOCK
            last = min(first + _ROWS_OF_A_BLOCK, source_height)
            copy_rows(image, (False, False), source_shape_of(layout), planar, source, first, last)
        limits = values.dtype.type(0), values.dtype.type(0)
        for turn in range(2 if plan.extremes else 1):
            made = turn == 1
            for block in prange(blocks):
                first = block * _ROWS_OF_A_BLOCK
                last = min(first + _ROWS_OF_A_BLOCK, height)
                scratch = make_scratch(
                    Layout(0, width, channels, False, 0, 0), finish.operands, True, sums
                )
                make_bands(
                    image,
                    source,
                    plan,
                    i,
                    layout,
                    finish,
                    scratch,
                    plain,
                    made,
                    limits,
                    values,
                    first,
                    last,
                )
                lows[block], highs[block] = extremes(scratch.lows, scratch.highs)
            limits = extremes(lows, highs)
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
                standardize_rows(layout, finish, mean, deviation, values, first, last)
            if not direct:
                store_rows(values, shape_of(layout), planar, target, first, last)
