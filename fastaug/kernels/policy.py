"""The kernel of a policy: moves, colours and the last steps of a batch, an image in each thread.

Every transform is data for it, so another policy compiles nothing.  A band of rows is made, changed
and finished while it is in the cache; where a step needs a statistic of the whole image, the bands
are gone through again:

    source --resample | warp | copy--> band --steps up to the first that needs a statistic--> image
    image --its statistic--> that step, and those up to the next --> ... --last steps--> batch
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.core import types
from numba.extending import overload

from fastaug.kernels import lanes, quads
from fastaug.kernels.bands import put_picture, put_planes, split
from fastaug.kernels.batch import rows_of_a_band, sample, settle, shape_of, source_shape_of
from fastaug.kernels.colours import (
    Noted,
    change_planes,
    clear,
    draw_curves,
    make_noted,
    needs_statistic,
    note,
    prepare,
)
from fastaug.kernels.launch import inlined, inner, shared
from fastaug.kernels.pointwise import NOTHING
from fastaug.kernels.resampling import Taps, columns_needed, find_taps, make_taps, resample_rows
from fastaug.kernels.sampling import (
    Band,
    fold_outside,
    gather,
    linear_offsets,
    locate,
    nearest_offsets,
)
from fastaug.kernels.storing import (
    choose_place,
    copy_row,
    copy_rows,
    is_direct,
    store_rows,
)
from fastaug.kernels.warp import CONSTANT, NEAREST, sample_pixel

# How the pixels of an image are found.
COPY, RESAMPLE, WARP = range(3)


class Program(NamedTuple):
    """What is drawn for each image of a batch."""

    ways: np.ndarray  # (n,) int8: COPY, RESAMPLE (no turn, order 1) or WARP
    matrices: np.ndarray  # (n, 3, 3) float64, from an output position to one of the source
    flips: np.ndarray  # (n, 2) bool: upside down, left to right, before the matrix
    offsets: np.ndarray  # (n, height, width, 2) float32, added behind the matrix, or (0, 1, 1, 2)
    reduced: np.ndarray  # (n, 2) int64: what the source is made smaller to before a warp
    codes: np.ndarray  # (n, k) int8: see `colours`
    numbers: np.ndarray  # (n, k, m) in the dtype of the computation
    order: int  # 0 or 1
    fill_mode: int  # of warp.FILL_MODES
    margin: float  # how far beside the outermost centres the picture ends, for `constant`
    cval: float
    antialias: bool
    most_taps: int  # that a pixel has along an axis


class Desk(NamedTuple):
    """Scratch memory of one thread, in the dtype of the computation unless it says otherwise."""

    source: np.ndarray  # an image of the source's size + lanes.WIDTH
    values: np.ndarray  # an image, where the last steps need one and the batch can't hold it
    sums: np.ndarray  # (height,) float64
    picture: np.ndarray  # a band, pixel by pixel
    planes: np.ndarray  # (channels, height * width): the image while its colours change
    line: np.ndarray  # float32: a row of the source + lanes.WIDTH
    pixels: np.ndarray  # float32: a row of the widest picture + lanes.WIDTH
    rows: Taps
    cols: Taps
    band: Band
    noted: Noted


@inlined
def make_desk(layout, program, operands, direct):
    """Allocate a thread's scratch memory."""
    height, width, channels = shape_of(layout)
    dtype = operands.dtype
    count = rows_of_a_band(layout) * width + 1
    tall, wide = max(height, layout.source_height), max(width, layout.source_width)
    return Desk(
        np.empty(layout.source_height * layout.source_width * channels + lanes.WIDTH, dtype),
        np.empty(0 if direct else height * width * channels, dtype),
        np.empty(height, np.float64),
        np.empty(count * channels + lanes.WIDTH, dtype),
        np.empty((channels, height * width if program.codes.shape[1] else 0), dtype),
        np.empty(layout.source_width * channels + lanes.WIDTH, np.float32),
        np.empty(wide * channels + lanes.WIDTH, np.float32),
        make_taps(tall, program.most_taps),
        make_taps(wide, program.most_taps),
        Band(
            np.empty(count, np.float64),
            np.empty(count, np.float64),
            np.empty(count, np.int32),
            np.empty(count, np.float64),
            np.empty(count, np.float64),
            np.empty(lanes.PIXELS * lanes.WIDTH, dtype),
        ),
        make_noted(channels, program.codes.shape[1], count, dtype),
    )


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

    Where they lie on `straight` lines, those inside are one run.
    """
    channels, low = shape[2], -margin
    bottom, right = shape[0] - 1.0 + margin, shape[1] - 1.0 + margin
    for row in range(rows):
        begin, end = row * width, (row + 1) * width
        if straight:
            while begin < end and not (low <= ys[begin] <= bottom and low <= xs[begin] <= right):
                for channel in range(channels):
                    out[np.uintp(begin * channels + channel)] = cval
                begin += 1
            while begin < end and not (
                low <= ys[end - 1] <= bottom and low <= xs[end - 1] <= right
            ):
                end -= 1
                for channel in range(channels):
                    out[np.uintp(end * channels + channel)] = cval
            continue
        for k in range(begin, end):
            if not (low <= ys[k] <= bottom and low <= xs[k] <= right):
                for channel in range(channels):
                    out[np.uintp(k * channels + channel)] = cval


@inner
def gather_quads(source, taps, upper, left, shape, count, out):
    """Fill `count` pixels as `gather` of order 1 does, in float32; `out` is four numbers longer."""
    height, width, channels = shape
    right, down = channels if width > 1 else 0, width * channels if height > 1 else 0
    for k in range(count):
        tap = np.intp(taps[np.uintp(k)])
        far = quads.spread(np.float32(1.0 - left[np.uintp(k)]))
        lower = quads.spread(np.float32(1.0 - upper[np.uintp(k)]))
        above, below = quads.load(source, tap), quads.load(source, tap + down)
        above = above + (quads.load(source, tap + right) - above) * far
        below = below + (quads.load(source, tap + down + right) - below) * far
        quads.store(above + (below - above) * lower, out, k * channels)


def in_quads(source, taps, upper, left, shape, count, out):
    """Fill pixels in float32, and tell whether that was done; only float32 can."""
    gather_quads(source, taps, upper, left, shape, count, out)
    return True


@overload(in_quads, inline="always")
def _in_quads(source, taps, upper, left, shape, count, out):
    if source.dtype != types.float32:
        return lambda source, taps, upper, left, shape, count, out: False

    def run(source, taps, upper, left, shape, count, out):
        gather_quads(source, taps, upper, left, shape, count, out)
        return True

    return run


@inlined
def warp_band(source, shape, i, program, size, scalar, band, out, first, last):
    """Fill rows with the source seen through the pull matrix, and offsets."""
    ys, xs, taps, upper, left, edge = band
    width, order, fill_mode = size[1], program.order, program.fill_mode
    count = (last - first) * width
    flips = program.flips[i, 0], program.flips[i, 1]
    pull = program.matrices[i]
    bent = locate(pull, flips, size, ys, xs, first, last)
    if len(program.offsets):
        add_offsets(program.offsets[i], flips, size, ys, xs, first, last)
        bent = True
    if fill_mode != CONSTANT and fill_mode != NEAREST:  # noqa: PLR1714
        fold_outside(shape, width, fill_mode, bent, ys, xs, last - first)
    if scalar:
        gather_any(source, shape, ys, xs, count, order, fill_mode <= NEAREST, out, 0)
    else:
        if order == 0:
            nearest_offsets(count, shape, ys, xs, taps)
        else:
            linear_offsets(count, shape, ys, xs, taps, upper, left)
        # Keras' warps have the bits of float64.
        done = False
        if order == 1 and program.margin > 0.0:
            done = in_quads(source, taps, upper, left, shape, count, out)
        if not done:
            gather(source, taps, upper, left, order, shape, count, edge, out, 0)
        if fill_mode != CONSTANT and fill_mode != NEAREST and order == 1:  # noqa: PLR1714
            mend_folded(source, count, shape, ys, xs, out, 0)
    if fill_mode == CONSTANT:
        rows = last - first
        fill_beside(shape, width, program.margin, program.cval, not bent, ys, xs, rows, out)


@inlined
def fetch(image, shape, i, program, layout, scalar, desk, numbers, needed, first, last):
    """Fill the desk's picture with rows as they are after all moves."""
    out, start = desk.picture, 0
    size, planar = (layout.height, layout.width), layout.planar
    way, source = program.ways[i], image.reshape(-1)
    if way == WARP:
        warp_band(desk.source, shape, i, program, size, scalar, desk.band, out, first, last)
    elif way == RESAMPLE:
        cval, width = program.cval, layout.width
        line, pixels = desk.line, desk.pixels
        rows, cols = desk.rows, desk.cols
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
            pixels,
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
        if tall == height and wide == width:
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
                desk.pixels,
                desk.source,
                0,
                0,
                tall,
            )
            shape = tall, wide, layout.channels
    return shape, numbers, needed


@inner
def is_coloured(codes):
    """Tell whether any step does something."""
    coloured = False
    for k in range(len(codes)):
        coloured = coloured or codes[k] != NOTHING
    return coloured


@inner
def next_statistic(codes, first):
    """Return the first step from `first` on that needs a statistic, or how many steps there are."""
    for k in range(first, len(codes)):
        if needs_statistic(codes[k]):
            return k
    return len(codes)


@inner
def change_band(codes, numbers, begin, end, planes, start, stop, noted):
    """Do the steps from `begin` to `end` to a band, and note what the next one needs."""
    for k in range(begin, end):
        if codes[k] != NOTHING:
            change_planes(planes, start, stop, codes[k], numbers[k], noted.curves[k], noted)
    if end < len(codes):
        note(planes, start, stop, codes[end], noted)


@inlined
def put_band(layout, finish, desk, coloured, base, values, out, first, last):
    """Put finished rows into the batch: from the planes, where they begin at `base`, or the band.

    Where the last steps need a statistic of the image, rows are left in `values`.
    """
    width, channels, planar = layout.width, layout.channels, layout.planar
    start, count, target = first * width, (last - first) * width, out.reshape(-1)
    if is_idle(finish):
        if coloured:
            put_planes(desk.planes, base, start, count, planar, target)
        else:
            put_picture(desk.picture, channels, start, count, planar, target)
        return
    if coloured:
        put_planes(desk.planes, base, start, count, False, values)
    else:
        put_picture(desk.picture, channels, start, count, False, values)
    settle(layout, finish, desk.sums, values, first, last)
    if not is_direct(values, out, planar) and not is_sampled(finish):
        store_rows(values, shape_of(layout), planar, out, first, last)


@inner
def is_sampled(finish):
    """Tell whether the last steps need a statistic of the image."""
    return finish.sample_center or finish.sample_normalize


@inner
def is_idle(finish):
    """Tell whether there are no last steps."""
    return not is_sampled(finish) and len(finish.steps) == 0


@inlined
def make_image(image, i, program, layout, finish, scalar, desk, out):
    """Do one image."""
    height, width, channels = shape_of(layout)
    size, direct = rows_of_a_band(layout), is_direct(desk.source, out, layout.planar)
    values = choose_place(direct, desk.values, out)
    codes, numbers = program.codes[i], program.numbers[i]
    shape, taps, needed = set_up(image, i, program, layout, scalar, desk)
    coloured = is_coloured(codes)
    draw_curves(codes, numbers, desk.noted)
    begin, end = 0, next_statistic(codes, 0) if coloured else len(codes)
    fetched, once = False, end == len(codes)
    while True:
        if end < len(codes):
            clear(desk.noted)
        for first in range(0, height, size):
            last = min(first + size, height)
            count = (last - first) * width
            # A band that is finished at once is always in the same place, in the cache.
            base = 0 if once else first * width
            if not fetched:
                fetch(image, shape, i, program, layout, scalar, desk, taps, needed, first, last)
                if coloured:
                    split(desk.picture, count, desk.planes, base)
            if coloured:
                change_band(codes, numbers, begin, end, desk.planes, base, base + count, desk.noted)
            if end == len(codes):
                put_band(layout, finish, desk, coloured, base, values, out, first, last)
        fetched = True
        if end == len(codes):
            break
        prepare(codes[end], height * width, desk.noted)
        begin, end = end, next_statistic(codes, end + 1)
    sample(layout, finish, desk.sums, values)
    if not direct and is_sampled(finish):
        store_rows(values, shape_of(layout), layout.planar, out, 0, height)


@shared
def make_images(images, chosen, program, layout, finish, scalar, out, share, threads):
    """Make a batch by a policy, a share of the images in each thread.

    Parameters
    ----------
    images
        (any, height, width, channels), or channels first; uint8 or the dtype of the computation;
        read only.
    chosen
        (n,) which of them make the batch.
    program, layout, finish
        What to do.
    scalar
        Whether to do without vector registers: more than four channels, or no compiler.
    out
        (n, ...), overwritten: the dtype of the computation, uint8, or uint16 for float16's bits.
    share, threads
        Which share is made here, of how many.
    """
    count = len(chosen)
    direct = is_direct(finish.operands, out, layout.planar)
    desk = make_desk(layout, program, finish.operands, direct)
    for i in range(count * share // threads, count * (share + 1) // threads):
        make_image(images[chosen[i]], i, program, layout, finish, scalar, desk, out[i])
