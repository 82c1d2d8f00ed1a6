"""Noise that depends on an image's seed and on the place of a value, in any order of work."""

from __future__ import annotations

import numpy as np
from numba import prange

from fastaug.kernels.launch import inner, parallel
from fastaug.kernels.storing import encode


@inner
def scrambled(seed, place):
    """Return 32 even bits of a seed and a place, both uint32.

    Wellons, "Hash prospector", 2018: a function of full avalanche, twice 32 bits multiplied.
    """
    x = np.uint32(place * np.uint32(0x9E3779B9)) ^ seed
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x ^= x >> np.uint32(15)
    x = np.uint32(x * np.uint32(0x846CA68B))
    x ^= x >> np.uint32(16)
    return np.uint32(x)


@parallel
def add_noise(images, rows, seeds, mean, deviations, quantiles, threads):
    """Add Gaussian noise to flat images (n, values) whose numbers are in `rows`.

    Parameters
    ----------
    seeds, deviations
        (n,) uint32, and float32.
    quantiles
        (4097,) float32 of the normal distribution; a number between two of them is between theirs.
    """
    count = len(rows)
    for share in prange(threads):
        for k in range(count * share // threads, count * (share + 1) // threads):
            i = rows[k]
            add_to(images[i], seeds[i], mean, deviations[i], quantiles)


@inner
def add_to(image, seed, mean, deviation, quantiles):
    """Add noise to a flat image, clipped to [0, 255]."""
    share = deviation * np.float32(2.0**-20)
    zero, top = np.float32(0), np.float32(255)
    for k in range(image.size):
        bits = scrambled(seed, np.uint32(k))
        cell = np.uintp(bits >> np.uint32(20))
        rest = np.float32(np.int32(bits & np.uint32(0xFFFFF)))
        low, high = quantiles[cell], quantiles[cell + np.uintp(1)]
        noise = mean + deviation * low + share * rest * (high - low)
        value = np.float32(image[np.uintp(k)]) + noise
        image[np.uintp(k)] = encode(min(max(value, zero), top), image)


@parallel
def add_salt(images, rows, channels, planes, seeds, amounts, salts, threads):
    """Make pixels of images white or black: a share `amounts`, (n,), and of those `salts`, white.

    `images` are (n, planes, values of a plane), with `channels` values for each of its pixels.
    """
    count = len(rows)
    for share in prange(threads):
        for k in range(count * share // threads, count * (share + 1) // threads):
            i = rows[k]
            below = np.uint32(amounts[i] * 4294967295.0)
            white = np.uint32(amounts[i] * salts[i] * 4294967295.0)
            for pixel in range(images.shape[2] // channels):
                bits = scrambled(seeds[i], np.uint32(pixel))
                if bits < below:
                    value = 255 if bits < white else 0
                    for plane in range(planes):
                        for channel in range(channels):
                            images[i, plane, pixel * channels + channel] = value


@inner
def tile_tables(grey, height, width, rows, cols, limit, tables):
    """Fill the table of every tile of a picture of whole grey values, (height * width,)."""
    tall, wide = -(-height // rows), -(-width // cols)
    area = tall * wide
    clip = max(1, int(limit * area / 256)) if limit > 0 else area
    counts = np.empty(256, np.int64)
    for tile in range(rows * cols):
        counts[:] = 0
        top, left = tile // cols * tall, tile % cols * wide
        for row in range(top, top + tall):
            for col in range(left, left + wide):
                # Tiles reach beyond the picture, which is mirrored there.
                near = row if row < height else max(2 * height - 2 - row, 0)
                place = col if col < width else max(2 * width - 2 - col, 0)
                counts[grey[near * width + place]] += 1
        clipped = 0
        for level in range(256):
            if counts[level] > clip:
                clipped += counts[level] - clip
                counts[level] = clip
        share, rest = clipped // 256, clipped % 256
        for level in range(256):
            counts[level] += share
        if rest:
            step = max(256 // rest, 1)
            level = 0
            while level < 256 and rest > 0:
                counts[level] += 1
                level += step
                rest -= 1
        total = 0
        for level in range(256):
            total += counts[level]
            tables[tile, level] = min(max(np.rint(total * np.float32(255.0 / area)), 0), 255)


@parallel
def equalize_tiles(images, rows, colours, grid, limits, strides, threads):
    """Do CLAHE to images, flat (n, values): grey, or red, green and blue shifted by as much.

    Parameters
    ----------
    colours
        1 or 3: how many of the first channels.
    grid
        (rows, columns) of tiles.
    limits
        (n,) float64 clip limits.
    strides
        (height, width, from pixel to pixel, from channel to channel).
    """
    count = len(rows)
    height, width, by_pixel, by_channel = strides
    for share in prange(threads):
        grey = np.empty(height * width, np.int64)
        tables = np.empty((grid[0] * grid[1], 256), np.float32)
        for k in range(count * share // threads, count * (share + 1) // threads):
            image = images[rows[k]]
            for pixel in range(height * width):
                if colours == 1:
                    level = np.float32(image[pixel * by_pixel])
                else:
                    start = pixel * by_pixel
                    level = np.float32(0.299) * np.float32(image[start])
                    level += np.float32(0.587) * np.float32(image[start + by_channel])
                    level += np.float32(0.114) * np.float32(image[start + 2 * by_channel])
                grey[pixel] = int(min(max(level + np.float32(0.5), 0), 255))
            tile_tables(grey, height, width, grid[0], grid[1], limits[rows[k]], tables)
            put_tiles(image, grey, height, width, grid, tables, colours, by_pixel, by_channel)


@inner
def put_tiles(image, grey, height, width, grid, tables, colours, by_pixel, by_channel):
    """Replace grey values by those of the four nearest tiles' tables, in between."""
    rows, cols = grid
    tall, wide = -(-height // rows), -(-width // cols)
    for row in range(height):
        y = row / tall - 0.5
        above = int(np.floor(y))
        lower = np.float32(y - above)
        top, bottom = max(above, 0), min(above + 1, rows - 1)
        for col in range(width):
            x = col / wide - 0.5
            before = int(np.floor(x))
            far = np.float32(x - before)
            left, right = max(before, 0), min(before + 1, cols - 1)
            level = grey[row * width + col]
            upper = tables[top * cols + left, level] * (1 - far)
            upper += tables[top * cols + right, level] * far
            under = tables[bottom * cols + left, level] * (1 - far)
            under += tables[bottom * cols + right, level] * far
            change = np.float32(np.rint(upper * (1 - lower) + under * lower) - level)
            start = (row * width + col) * by_pixel
            for channel in range(colours):
                place = start + channel * by_channel
                value = np.float32(image[place]) + change
                value = min(max(value, np.float32(0)), np.float32(255))
                image[place] = encode(value, image)
