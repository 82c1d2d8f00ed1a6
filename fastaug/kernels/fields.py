"""Smooth random fields: what an elastic deformation adds to coordinates."""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inner, shared


@inner
def fill_evenly(seed, out):
    """Fill a flat float32 array with even noise from -1 to 1, by the place of each number.

    Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014 (splitmix64).
    """
    for k in range(out.size):
        z = seed + np.uint64(k + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        out[k] = np.float32(np.int64(z >> np.uint64(40))) * np.float32(2.0**-23) - np.float32(1)


@inner
def mirrored(index, length):
    """Return an index inside, mirrored about the outermost pixels."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    index = abs(index) % period
    return min(index, period - index)


@inner
def smooth_rows(source, weights, out):
    """Blend rows of (height, width) with those above and below."""
    height, width = source.shape
    radius = len(weights) // 2
    for row in range(height):
        line = out[row]
        line[:] = np.float32(0)
        for tap in range(len(weights)):
            near, weight = source[mirrored(row + tap - radius, height)], weights[tap]
            for col in range(width):
                line[col] += weight * near[col]


@inner
def smooth_columns(source, weights, padded, out):
    """Blend columns of (height, width) with those to the left and right; `padded` is scratch."""
    height, width = source.shape
    radius = len(weights) // 2
    for row in range(height):
        for col in range(-radius, width + radius):
            padded[col + radius] = source[row, mirrored(col, width)]
        line = out[row]
        line[:] = np.float32(0)
        for tap in range(len(weights)):
            weight = weights[tap]
            for col in range(width):
                line[col] += weight * padded[col + tap]


@shared
def make_fields(seeds, weights_y, weights_x, alphas, out, share, threads):
    """Fill `out` (n, height, width, 2) with smooth noise, of rows and of columns.

    Parameters
    ----------
    seeds
        (n,) uint64.
    weights_y, weights_x
        Odd numbers of weights, float32: how noise is smoothed down and across.
    alphas
        (2,) float32: what rows and columns are multiplied by.
    """
    count, height, width = out.shape[0], out.shape[1], out.shape[2]
    noise, smooth = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    padded = np.empty(width + len(weights_x), np.float32)
    for i in range(count * share // threads, count * (share + 1) // threads):
        for axis in range(2):
            fill_evenly(
                seeds[i] + np.uint64(axis) * np.uint64(0x632BE59BD9B4E019), noise.reshape(-1)
            )
            smooth_rows(noise, weights_y, smooth)
            smooth_columns(smooth, weights_x, padded, noise)
            for row in range(height):
                for col in range(width):
                    out[i, row, col, axis] = alphas[axis] * noise[row, col]
