"""Contrast limited adaptive histogram equalisation.

The numbers are OpenCV's (4.13, `cv::CLAHE`): the size of tiles, how a histogram is clipped, float32
for the interpolation.  See `planes` for the layout of a batch.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from fastaug.kernels.launch import inner, parallel
from fastaug.kernels.planes import clipped, reflect, within

_LEVELS = 256


@inner
def fill_levels(image, step, first, weights, levels):
    """Fill `levels` (height, width) uint8 with the brightness of some channels of an image.

    Parameters
    ----------
    image
        (planes, height, length).
    first, weights
        The first of the channels, and what each counts; float32.
    """
    height, width = levels.shape
    for row in range(height):
        for col in range(width):
            total = np.float32(0)
            for m in range(len(weights)):
                total += weights[m] * np.float32(value_of(image, step, first + m, row, col))
            levels[row, col] = within(total, levels)


@inner
def value_of(image, step, channel, row, col):
    """Return a value of (planes, height, length), where either planes or `step` is 1."""
    if len(image) == 1:
        return image[0, row, col * step + channel]
    return image[channel, row, col]


@inner
def shift_levels(image, step, first, count, levels, changed):
    """Add the change of brightness to the channels, which keeps what is colour in them."""
    height, width = levels.shape
    for row in range(height):
        for col in range(width):
            more = changed[row, col] - np.float32(levels[row, col])
            for channel in range(first, first + count):
                p, k = (0, col * step + channel) if len(image) == 1 else (channel, col)
                image[p, row, k] = clipped(image[p, row, k] + more, image)


@inner
def fill_table(levels, top, left, tile, clip_limit, counts, table):
    """Fill a tile's `table` (256,) float32: what each level becomes."""
    height, width = levels.shape
    tile_height, tile_width = tile
    counts[:] = 0
    for row in range(top, top + tile_height):
        inside = reflect(row, height)
        for col in range(left, left + tile_width):
            counts[levels[inside, reflect(col, width) if col >= width else col]] += 1
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
def equalize(levels, grid, clip_limit, counts, tables, changed):
    """Fill `changed` (height, width) with equalised levels, between those of the tiles around."""
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
    one, half = np.float32(1), np.float32(0.5)
    per_row, per_col = one / np.float32(tile_height), one / np.float32(tile_width)
    for row in range(height):
        at = np.float32(row) * per_row - half
        y = int(np.floor(at))
        low = at - np.float32(y)
        above, below = tables[max(y, 0)], tables[min(y + 1, down - 1)]
        for col in range(width):
            at = np.float32(col) * per_col - half
            x = int(np.floor(at))
            right = at - np.float32(x)
            x, beside, level = max(x, 0), min(x + 1, across - 1), levels[row, col]
            upper = above[x, level] * (one - right) + above[beside, level] * right
            lower = below[x, level] * (one - right) + below[beside, level] * right
            changed[row, col] = upper * (one - low) + lower * low


@parallel
def equalize_images(planes, step, rows, clip_limits, grid, weights, last, threads):
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
    threads
        How many shares to make.
    """
    height, width = planes.shape[2], planes.shape[3] // step
    for share in prange(threads):
        levels = np.empty((height, width), np.uint8)
        changed = np.empty((height, width), np.float32)
        counts = np.empty(_LEVELS, np.int64)
        tables = np.empty((grid[0], grid[1], _LEVELS), np.float32)
        for j in range(len(rows) * share // threads, len(rows) * (share + 1) // threads):
            i = rows[j]
            for first in range(0, last, len(weights)):
                fill_levels(planes[i], step, first, weights, levels)
                equalize(levels, grid, clip_limits[i], counts, tables, changed)
                shift_levels(planes[i], step, first, len(weights), levels, changed)
