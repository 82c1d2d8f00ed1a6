"""Images of a batch mixed with others of it, in place where that is possible."""

from __future__ import annotations

import numpy as np

from fastaug.kernels.launch import inner, shared
from fastaug.kernels.storing import encode

BLOCK = 4096  # values that are summed up at a time, in the cache
_TOGETHER, _FEWEST = 65536, 64  # values of all images at a time; of each image at least


@inner
def copy(source, out):
    """Copy a flat image."""
    for k in range(out.size):
        out[np.uintp(k)] = source[np.uintp(k)]


@inner
def blend_two(one, other, share, out):
    """Fill a flat image with share * one + (1 - share) * other, in float32 or float64."""
    rest = np.float32(1) - share
    for k in range(out.size):
        value = share * np.float32(one[np.uintp(k)]) + rest * np.float32(other[np.uintp(k)])
        out[np.uintp(k)] = encode(value, out)


@inner
def paste(source, area, shift, width, out):
    """Copy an area of a flat plane, or image whose pixels lie together.

    `area` counts rows and values of a row; `shift` likewise is how much further on the source is.
    """
    first, begin, last, end = area
    for row in range(first, last):
        place, start = row * width, (row + shift[0]) * width + shift[1]
        for k in range(begin, end):
            out[np.uintp(place + k)] = source[np.uintp(start + k)]


@inner
def blend_block(stack, shares, i, first, last, line, out):
    """Fill values of flat image i with the sum of those of all layers by their shares."""
    for k in range(last - first):
        line[np.uintp(k)] = shares[i, 0] * stack[0, i, np.uintp(first + k)]
    for layer in range(1, len(stack)):
        share = shares[i, layer]
        for k in range(last - first):
            line[np.uintp(k)] += share * stack[layer, i, np.uintp(first + k)]
    for k in range(last - first):
        out[i, np.uintp(first + k)] = encode(line[np.uintp(k)], out)


@shared
def blend_stack(stack, shares, out, share, threads):
    """Blend layers (k, n, values) by shares (n, k), float32 or float64, into `out` (n, values)."""
    layers, count, values = stack.shape
    line = np.empty(BLOCK, shares.dtype)
    for i in range(count * share // threads, count * (share + 1) // threads):
        for first in range(0, values, BLOCK):
            blend_block(stack, shares, i, first, min(first + BLOCK, values), line, out)


@shared
def blend_images(batch, rows, shares, share, threads):
    """Blend each flat image (n, values) with another: `shares` (n,) is its own, float32 or 64.

    The same values of all images at a time, as they are before one of them is changed.
    """
    count, values = batch.shape
    block = max(_FEWEST, _TOGETHER // count)
    kept, end = np.empty((count, block), batch.dtype), values * (share + 1) // threads
    for first in range(values * share // threads, end, block):
        last = min(first + block, end)
        for i in range(count):
            copy(batch[i][first:last], kept[i][: last - first])
        for i in range(count):
            if rows[i] != i and shares[i] != 1:
                blend_two(kept[i], kept[rows[i]], shares[i], batch[i][first:last])


@shared
def swap_areas(batch, rows, areas, channels, width, share, threads):
    """Let images of (n, planes, height * width * channels) have areas of others, in place.

    `rows` (n,), `areas` (n, 4), as in `Partners`; a row of all images at a time.
    """
    count, planes, values = batch.shape
    length = width * channels
    height, kept = values // length, np.empty((count, length), batch.dtype)
    for row in range(height * share // threads, height * (share + 1) // threads):
        for plane in range(planes):
            for i in range(count):
                if areas[i, 0] <= row and row < areas[i, 2]:  # noqa: SIM300, PLR1716
                    begin, end = areas[i, 1] * channels, areas[i, 3] * channels
                    source = batch[rows[i], plane]
                    copy(source[row * length + begin : row * length + end], kept[i][: end - begin])
            for i in range(count):
                if areas[i, 0] <= row and row < areas[i, 2]:  # noqa: SIM300, PLR1716
                    begin, end = areas[i, 1] * channels, areas[i, 3] * channels
                    target = batch[i, plane]
                    copy(kept[i][: end - begin], target[row * length + begin : row * length + end])


@shared
def paste_images(batch, rows, areas, shifts, channels, width, out, share, threads):
    """Paste areas of other images into each image of (n, planes, height * width * channels).

    `rows` (n, p), `areas` (n, p, 4), `shifts` (n, p, 2), as in `Partners`.
    """
    count, planes = batch.shape[0], batch.shape[1]
    for i in range(count * share // threads, count * (share + 1) // threads):
        for plane in range(planes):
            copy(batch[i, plane], out[i, plane])
        for k in range(rows.shape[1]):
            top, left = areas[i, k, 0], areas[i, k, 1]
            bottom, right = areas[i, k, 2], areas[i, k, 3]
            area = top, left * channels, bottom, right * channels
            shift = shifts[i, k, 0], shifts[i, k, 1] * channels
            for plane in range(planes):
                paste(batch[rows[i, k], plane], area, shift, width * channels, out[i, plane])
