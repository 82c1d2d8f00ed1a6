"""Decoded images of any size -> images of one size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.resizing import resize_images


def take_over(
    slots: NDArray[np.uint8],
    sizes: NDArray[np.int32],
    images: NDArray[Any],
    *,
    keep_aspect_ratio: bool,
) -> None:
    """Copy decoded images, resized by the nearest pixel, in this thread.

    Parameters
    ----------
    slots
        (n, nbytes) uint8: images of three channels, flat, each with a byte of slack behind it
        unless it has the size of the result.
    sizes
        (n, 2) int32: their heights and widths.
    images
        (n, height, width, 3) uint8, overwritten.
    keep_aspect_ratio
        Whether a central part in the result's proportions is taken.

    References
    ----------
    Pillow 13, `Image.resize` with NEAREST; the same bits.
    """
    resize_images(slots, sizes, keep_aspect_ratio, images)
