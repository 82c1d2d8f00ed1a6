"""The kernel of a policy: moves, colours and the last steps of a batch, an image in each thread.

Every transform is data for it, so another policy compiles nothing.  A band of rows is made, changed
and finished while it is in the cache; where a step needs a statistic of the whole image, the bands
are gone through again:

    source --resample | warp | copy--> band --steps up to the first that needs a statistic--> image
    image --its statistic--> that step, and those up to the next --> ... --last steps--> batch
"""

from __future__ import annotations

from numba.extending import overload

from fastaug.kernels.bands import put_picture, put_planes, split
from fastaug.kernels.batch import sample, settle, shape_of
from fastaug.kernels.colours import (
    change_planes,
    clear,
    draw_curves,
    needs_statistic,
    note,
    prepare,
)
from fastaug.kernels.fetching import fetch, set_up
from fastaug.kernels.launch import inlined, inner, shared
from fastaug.kernels.pointwise import NOTHING
from fastaug.kernels.program import COPY, make_desk, rows_of_a_band
from fastaug.kernels.storing import choose_place, copy_row, is_direct, store_rows
from fastaug.kernels.tables import look_up_bytes, pays


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


def copy_through(image, flips, layout, out):
    """Copy an image, flipped, and tell whether that was done: only to its own dtype."""
    if image.dtype != out.dtype:
        return False
    copy_flipped(image, flips, layout, out)
    return True


@overload(copy_through)
def _copy_through(image, flips, layout, out):
    if image.dtype != out.dtype:
        return lambda image, flips, layout, out: False

    def run(image, flips, layout, out):
        copy_flipped(image, flips, layout, out)
        return True

    return run


@inner
def copy_flipped(image, flips, layout, out):
    """Copy an image, flipped, and keep its layout."""
    height, width, channels = shape_of(layout)
    planes, length = (channels, 1) if layout.planar else (1, channels)
    source, target = image.reshape(-1), out.reshape(-1)
    for plane in range(planes):
        for row in range(height):
            origin = height - 1 - row if flips[0] else row
            begin = (plane * height + row) * width * length
            copy_row(
                source, plane * height + origin, flips[1], (1, width, length), False, target, begin
            )


@inlined
def make_image(image, i, program, layout, finish, scalar, desk, out):
    """Do one image."""
    height, width, channels = shape_of(layout)
    size, direct = rows_of_a_band(layout), is_direct(desk.source, out, layout.planar)
    values = choose_place(direct, desk.values, out)
    codes, numbers = program.codes[i], program.numbers[i]
    coloured = is_coloured(codes)
    draw_curves(codes, numbers, desk.noted)
    flipped = program.flips[i, 0] or program.flips[i, 1]
    still, idle = program.ways[i] == COPY, is_idle(finish)
    if still and idle and not coloured and copy_through(image, program.flips[i], layout, out):
        return
    tabled = still and idle and not flipped and pays(codes)
    if tabled and look_up_bytes(image, layout.planar, codes, numbers, desk.noted, desk.tables, out):
        return
    shape, taps, needed = set_up(image, i, program, layout, scalar, desk)
    begin, end = 0, next_statistic(codes, 0) if coloured else len(codes)
    fetched, once = False, end == len(codes)
    straight = coloured and still and not layout.planar and not flipped
    while True:
        if end < len(codes):
            clear(desk.noted)
        for first in range(0, height, size):
            last = min(first + size, height)
            count = (last - first) * width
            # A band that is finished at once is always in the same place, in the cache.
            base = 0 if once else first * width
            if not fetched and straight:
                begins = first * width * channels
                split(image.reshape(-1)[begins : last * width * channels], count, desk.planes, base)
            elif not fetched:
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
    whole = images.itemsize == 1 and finish.operands.itemsize == 4
    desk = make_desk(layout, program, finish.operands, direct, whole)
    for i in range(count * share // threads, count * (share + 1) // threads):
        make_image(images[chosen[i]], i, program, layout, finish, scalar, desk, out[i])
