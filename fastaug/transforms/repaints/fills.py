"""What rectangles are erased with: checks, and the way to the kernel."""

from __future__ import annotations

import numbers
from typing import Any, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_number
from fastaug.kernels.erasing import COLOUR, MEAN, NOISE, erase_holes
from fastaug.transforms.repaints.planes import repaint

# A value, one for each channel, "mean" (of the image's channel) or "random" (each value another).
Fill: TypeAlias = float | tuple[float, ...] | str


def check_fill(name: str, value: Any) -> None:
    """Raise unless `value` can fill rectangles."""
    if isinstance(value, str):
        if value not in ("mean", "random"):
            raise ValueError(
                f"{name}={value!r} is not a number, one for each channel, 'mean' or 'random'"
            )
        return
    many = isinstance(value, tuple | list)
    if not many and not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name}={value!r} is not a number, one for each channel, 'mean' or 'random'"
        )
    if many and not value:
        raise ValueError(f"{name}={value!r} has no number")
    for number in value if many else (value,):
        check_number(name, number, minimum=0)
        if number > 255:
            raise ValueError(f"{name}={value!r} is out of range: values are from 0 to 255")


def colour_of(name: str, value: Fill, images: NDArray[Any]) -> NDArray[Any]:
    """Return the values of all channels in the dtype of the images, rounded for bytes."""
    channels = images.shape[-1]
    given = np.atleast_1d(np.asarray(0 if isinstance(value, str) else value, np.float64))
    if len(given) not in (1, channels):
        raise ValueError(
            f"{name}={value!r} has {len(given)} numbers, but images have {channels} channels"
        )
    if images.dtype == np.uint8:
        given = np.rint(given)
    return np.ascontiguousarray(np.broadcast_to(given, channels), images.dtype)


def erase(
    name: str,
    value: Fill,
    images: NDArray[Any],
    holes: NDArray[Any],
    seeds: NDArray[Any],
    rows: NDArray[np.intp],
) -> None:
    """Fill rectangles of the chosen images, in place.

    Parameters
    ----------
    name
        Of the argument `value`, for errors.
    images
        (n, height, width, channels).
    holes
        (n, k, 4): first row, first column, and those behind the last.
    seeds
        (n,), of the noise.
    rows
        (m,): which of the images.
    """
    length = images.shape[2] * images.shape[3]
    # A sum of bytes fits; with sums of floats a row is as exact as NumPy's own.
    sums = np.int64 if images.dtype == np.uint8 else np.float64
    repaint(
        erase_holes,
        images,
        rows,
        np.ascontiguousarray(holes, np.int64),
        {"mean": MEAN, "random": NOISE}.get(value, COLOUR) if isinstance(value, str) else COLOUR,
        colour_of(name, value, images),
        np.asarray(seeds, np.int64),
        np.empty((numba.get_num_threads(), length), sums),
    )
