"""Decoded images of any size -> images of one size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.launch import Pace, launch, limited_threads
from fastaug.kernels.resizing import resize_images


def take_over(
    slots: NDArray[np.uint8],
    sizes: NDArray[np.int32],
    images: NDArray[Any],
    alone: bool = False,
    *,
    keep_aspect_ratio: bool,
    threads: int | None = None,
    pace: Pace | None = None,
) -> None:
    """Copy decoded images, resized by the nearest pixel.

    Parameters
    ----------
    slots
        (n or more, nbytes) uint8: images of three channels, flat, each with a byte of slack behind
        it unless it has the size of the result.
    sizes
        (n, 2) int32: their heights and widths.
    images
        (n, height, width, 3) uint8, overwritten.
    alone
        Whether one thread has to do.
    keep_aspect_ratio
        Whether a central part in the result's proportions is taken.
    threads, pace
        As for `pipeline.make_batch`.

    References
    ----------
    Pillow 13, `Image.resize` with NEAREST; the same bits.
    """
    with limited_threads(1 if alone else threads, pace) as count:
        seconds = launch(resize_images, slots, sizes, keep_aspect_ratio, images, count)
    if pace is not None and len(images):
        pace.note(count, images.size, seconds)
