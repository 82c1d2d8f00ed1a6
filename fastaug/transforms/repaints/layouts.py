"""How repaints see a batch: rows of images, or of planes where channels come first."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


class Lines(NamedTuple):
    """Images, or planes, as lines: (n, height, width * channels), C-contiguous.

    `rows` are the ones to change, `owners` the images that these belong to.
    """

    images: NDArray[Any]
    channels: int
    rows: Rows
    owners: Rows


def lines_of(images: NDArray[Any], rows: Rows) -> Lines:
    """Return a view of images (n, height, width, channels) for kernels that go along lines."""
    count, height, width, channels = images.shape
    rows = np.asarray(rows, np.intp)
    if images.flags.c_contiguous:
        return Lines(images.reshape(count, height, width * channels), channels, rows, rows)
    planes = np.moveaxis(images, -1, 1)  # as they lie in memory
    owners = np.repeat(rows, channels)
    parts = owners * channels + np.tile(np.arange(channels), len(rows))
    return Lines(planes.reshape(count * channels, height, width), 1, parts, owners)


def planes_of(images: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return images as (n, planes, values of a plane), and the values of a pixel in a plane."""
    count, height, width, channels = images.shape
    if images.flags.c_contiguous:
        return images.reshape(count, 1, height * width * channels), channels
    return np.moveaxis(images, -1, 1).reshape(count, channels, height * width), 1


def shares_of(count: int) -> int:
    """Return how many shares a kernel makes of so many images."""
    return min(numba.get_num_threads(), max(count, 1))


def check_colours(name: str, images: NDArray[Any]) -> int:
    """Return how many channels are colours; ValueError unless there are 1, 3 or 4."""
    channels = images.shape[-1]
    if channels not in (1, 3, 4):
        raise ValueError(f"{name} needs images of 1, 3 or 4 channels; these have {channels}")
    return 1 if channels == 1 else 3
