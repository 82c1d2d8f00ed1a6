"""Contrast limited adaptive histogram equalisation.

The numbers are OpenCV's (5.0, `cv::CLAHE`): the size of tiles, how a histogram is clipped, float32
for the interpolation.  See `planes` for the layout of a batch.
"""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inner, shared
from fastaug.kernels.planes import clipped, reflect, within

_LEVELS = 256


@inner
def fill_levels(image, step, first, weights, levels):
    """Fill `levels` (height, width) uint8 with the brightness of some channels of an image.

    Parameters
    ----------
    image
        (planes, height, length), where either planes or `step` is 1.
    first, weights
        The first of the channels, and what each counts; float32.
    """
    height, width = levels.shape
    sums = np.empty(width, np.float32)
    for row in range(height):
        sums[:] = 0
        for m in range(len(weights)):
            weight, (p, start) = weights[m], place_of(image, first + m)
            # Steps that the compiler knows: two and three times as fast.
            if step == 3:
                add_weighted(image[p, row], 3, start, weight, sums)
            else:
                add_weighted(image[p, row], step, start, weight, sums)
        for col in range(width):
            levels[row, np.uintp(col)] = within(sums[np.uintp(col)], levels)


@inner
def add_weighted(values, step, start, weight, sums):
    """Add the weighted values of every step to the sums."""
    for col in range(len(sums)):
        sums[np.uintp(col)] += weight * np.float32(values[np.uintp(col * step + start)])


@inner
def place_of(image, channel):
    """Return the plane of a channel, and where in a row it starts."""
    return (0, channel) if len(image) == 1 else (channel, 0)


@inner
def shift_levels(image, step, first, count, levels, changed):
    """Add the change of brightness to the channels, which keeps what is colour in them."""
    height, width = levels.shape
    for row in range(height):
        for col in range(width):
            changed[row, np.uintp(col)] -= np.float32(levels[row, np.uintp(col)])
        if step == 3 and count == 3:
            shift_colours(image[0, row], changed[row])
            continue
        for channel in range(first, first + count):
            p, start = place_of(image, channel)
            for col in range(width):
                k = np.uintp(col * step + start)
                more = changed[row, np.uintp(col)]
                image[p, row, k] = clipped(image[p, row, k] + more, image)


@inner
def shift_colours(values, changes):
    """Add changes to the three channels of pixels."""
    for col in range(len(changes)):
        more = changes[np.uintp(col)]
        red, green, blue = np.uintp(3 * col), np.uintp(3 * col + 1), np.uintp(3 * col + 2)
        values[red] = clipped(values[red] + more, values)
        values[green] = clipped(values[green] + more, values)
        values[blue] = clipped(values[blue] + more, values)


@inner
def fill_table(levels, top, left, tile, clip_limit, counts, table):
    """Fill a tile's `table` (256,) float32: what each level becomes."""
    height, width = levels.shape
    tile_height, tile_width = tile
    counts[:] = 0
    for row in range(top, top + tile_height):
        inside = reflect(row, height)
        for col in range(left, min(left + tile_width, width)):
            counts[np.uintp(levels[inside, np.uintp(col)])] += 1
        for col in range(max(left, width), left + tile_width):
            counts[np.uintp(levels[inside, reflect(col, width)])] += 1
    area = tile_height * tile_width
    clip(counts, max(int(clip_limit * area / _LEVELS), 1))
    scale, total = np.float32(_LEVELS - 1) / np.float32(area), 0
    for level in range(_LEVELS):
        total += counts[level]
        table[level] = np.rint(min(np.float32(total) * scale, np.float32(255)))


@inner
def clip(counts, limit):
    """Spread what is above a limit over all levels."""
    excess = 0
    for level in range(_LEVELS):
        excess += max(counts[level] - limit, 0)
        counts[level] = min(counts[level], limit)
    for level in range(_LEVELS):
        counts[level] += excess // _LEVELS
    rest = excess % _LEVELS
    if rest:
        stride = max(_LEVELS // rest, 1)
        for k in range(rest):
            if k * stride < _LEVELS:
                counts[k * stride] += 1


@inner
def equalize(levels, grid, clip_limit, memory, changed):
    """Fill `changed` (height, width) with equalised levels, between those of the tiles around.

    `memory` is for counts (256,), tables (*grid, 256), and of each column the tiles (2, width) to
    its left and right, and its place between them (width,).
    """
    counts, tables, places, rights = memory
    height, width = levels.shape
    down, across = grid
    tile_height, tile_width = height // down, width // across
    if height % down or width % across:
        # As OpenCV pads: a side that is a multiple already grows, too, by one pixel a tile.
        tile_height, tile_width = tile_height + 1, tile_width + 1
    tile = tile_height, tile_width
    for y in range(down):
        for x in range(across):
            fill_table(
                levels, y * tile_height, x * tile_width, tile, clip_limit, counts, tables[y, x]
            )
    for col in range(width):
        x, right = tile_at(col, tile_width)
        places[0, col], places[1, col] = max(x, 0), min(x + 1, across - 1)
        rights[col] = right
    one = np.float32(1)
    for row in range(height):
        y, low = tile_at(row, tile_height)
        above, below = tables[max(y, 0)], tables[min(y + 1, down - 1)]
        for col in range(width):
            level, right = levels[row, np.uintp(col)], rights[np.uintp(col)]
            x, beside = np.uintp(places[0, np.uintp(col)]), np.uintp(places[1, np.uintp(col)])
            upper = above[x, level] * (one - right) + above[beside, level] * right
            lower = below[x, level] * (one - right) + below[beside, level] * right
            changed[row, np.uintp(col)] = upper * (one - low) + lower * low


@inner
def tile_at(position, side):
    """Return the tile whose centre lies before a pixel, maybe -1, and how far behind it is."""
    at = np.float32(position) * (np.float32(1) / np.float32(side)) - np.float32(0.5)
    tile = int(np.floor(at))
    return tile, at - np.float32(tile)


@shared
def equalize_images(planes, step, rows, clip_limits, grid, weights, last, share, threads):
    """Equalise the chosen images.

    Parameters
    ----------
    planes, step
        The batch, changed in place; see `planes`.
    rows
        (m,) intp: which of the images.
    clip_limits
        (n,) float64.
    grid
        How many tiles there are from top to bottom, and from left to right.
    weights
        (k,) float32: what each of k channels counts for the brightness.
    last
        Channels up to this one are equalised, k at a time.
    share, threads
        Which share is made here, of how many.
    """
    height, width = planes.shape[2], planes.shape[3] // step
    levels = np.empty((height, width), np.uint8)
    changed = np.empty((height, width), np.float32)
    memory = (
        np.empty(_LEVELS, np.int64),
        np.empty((grid[0], grid[1], _LEVELS), np.float32),
        np.empty((2, width), np.intp),
        np.empty(width, np.float32),
    )
    for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
        i = rows[j]
        for first in range(0, last, len(weights)):
            fill_levels(planes[i], step, first, weights, levels)
            equalize(levels, grid, clip_limits[i], memory, changed)
            shift_levels(planes[i], step, first, len(weights), levels, changed)
