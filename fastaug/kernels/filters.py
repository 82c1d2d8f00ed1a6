"""Images blended with their neighbours, in place: blurs and sharpening.

A ring holds the rows that are still needed as they were, so an image is read and written once.
Borders are mirrored about the outermost pixels.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from fastaug.kernels.fields import mirrored
from fastaug.kernels.launch import inner, parallel
from fastaug.kernels.storing import encode


@inner
def read_row(image, row, channels, radius, out):
    """Put a row of a flat image (height, width * channels) into `out`, mirrored at both ends."""
    length = image.shape[1]
    width = length // channels
    source, start = image[row], radius * channels
    for k in range(length):
        out[np.uintp(start + k)] = np.float32(source[np.uintp(k)])
    for col in range(1, radius + 1):
        left, right = mirrored(-col, width) * channels, mirrored(width - 1 + col, width) * channels
        for channel in range(channels):
            out[start - col * channels + channel] = out[start + left + channel]
            out[start + length + (col - 1) * channels + channel] = out[start + right + channel]


@inner
def add_scaled(source, start, weight, out):
    """Add a run of numbers, times a weight."""
    for k in range(len(out)):
        out[np.uintp(k)] += weight * source[np.uintp(start + k)]


@inner
def write_row(values, out):
    """Put a row into the image."""
    for k in range(len(out)):
        out[np.uintp(k)] = encode(values[np.uintp(k)], out)


@inner
def blur_image(image, channels, down, across, padded, ring, line):
    """Blur a flat image by weights along its columns and its rows."""
    height, length = image.shape
    reach, radius = len(down) // 2, len(across) // 2
    size = len(ring)
    done = 0  # rows that are in the ring
    for row in range(height):
        while done < min(height, row + reach + 1):
            read_row(image, done, channels, radius, padded)
            blurred = ring[done % size]
            blurred[:] = np.float32(0)
            for tap in range(len(across)):
                add_scaled(padded, tap * channels, across[tap], blurred)
            done += 1
        line[:] = np.float32(0)
        for tap in range(len(down)):
            near = mirrored(row + tap - reach, height)
            add_scaled(ring[near % size], 0, down[tap], line)
        write_row(line, image[row])


@parallel
def blur_images(images, rows, channels, down, across, owners, threads):
    """Blur images (n, height, width * channels) whose numbers are in `rows`.

    Parameters
    ----------
    down, across
        (m, k) float32 weights, odd numbers of them, for each owner.
    owners
        Whose weights each of `rows` takes.
    """
    count, length = len(rows), images.shape[2]
    for share in prange(threads):
        radius = across.shape[1] // 2
        padded = np.empty(length + 2 * radius * channels, np.float32)
        # Mirrored rows lie as far behind as rows to come lie ahead.
        ring = np.empty((2 * down.shape[1] + 1, length), np.float32)
        line = np.empty(length, np.float32)
        for k in range(count * share // threads, count * (share + 1) // threads):
            owner = owners[k]
            blur_image(images[rows[k]], channels, down[owner], across[owner], padded, ring, line)


@inner
def convolve_image(image, channels, weights, factor, keeps_border, ring, line):
    """Replace an image by factor * image + (1 - factor) * what a (k, k) filter makes of it."""
    height, length = image.shape
    size, radius = len(weights), len(weights) // 2
    rest, done = np.float32(1) - factor, 0
    for row in range(height):
        while done < min(height, row + radius + 1):
            read_row(image, done, channels, radius, ring[done % len(ring)])
            done += 1
        if keeps_border and (row < radius or row >= height - radius):
            continue
        line[:] = np.float32(0)
        for dy in range(size):
            near = ring[mirrored(row + dy - radius, height) % len(ring)]
            for dx in range(size):
                if weights[dy, dx] != 0:
                    add_scaled(near, dx * channels, weights[dy, dx], line)
        own, start = ring[row % len(ring)], radius * channels
        edge = radius * channels if keeps_border else 0
        target = image[row]
        for k in range(edge, length - edge):
            value = factor * own[np.uintp(start + k)] + rest * line[np.uintp(k)]
            target[np.uintp(k)] = encode(min(max(value, np.float32(0)), np.float32(255)), target)


@parallel
def convolve_images(images, rows, channels, weights, factors, keeps_border, owners, threads):
    """Do that to images (n, height, width * channels) whose numbers are in `rows`.

    `weights` (m, k, k) and `factors` (m,), float32, are those of each owner.
    """
    count, length = len(rows), images.shape[2]
    for share in prange(threads):
        size = weights.shape[1]
        ring = np.empty((2 * size + 1, length + (size - 1) * channels), np.float32)
        line = np.empty(length, np.float32)
        for k in range(count * share // threads, count * (share + 1) // threads):
            owner = owners[k]
            convolve_image(
                images[rows[k]],
                channels,
                weights[owner],
                factors[owner],
                keeps_border,
                ring,
                line,
            )
