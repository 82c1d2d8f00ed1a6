"""How a batch gets to the kernels that repaint it, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fastaug.kernels.launch import launch_shares


def repaint(
    kernel: Callable[..., None], images: NDArray[Any], rows: NDArray[np.intp], *arguments: Any
) -> None:
    """Run `kernel(planes, step, rows, *arguments, threads)` on the chosen images, in place.

    Parameters
    ----------
    kernel
        A kernel that makes shares; `fastaug.kernels.planes` says what planes and a step are.
    images
        (n, height, width, channels).
    rows
        (m,): which of them.
    """
    if not len(rows):
        return
    chosen = np.ascontiguousarray(rows, np.intp)
    planes, step = planes_of(images)
    launch_shares(kernel, planes, step, chosen, *arguments, numba.get_num_threads())
    if not np.shares_memory(planes, images):
        images[chosen] = planes[chosen].reshape(len(chosen), *images.shape[1:])


def planes_of(images: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return contiguous (n, planes, height, length) and the step from a pixel to the next.

    A view of the images, unless they lie otherwise than channels last or channels first.
    """
    count, height, width, channels = images.shape
    first = np.moveaxis(images, -1, 1)
    if first.flags.c_contiguous and not images.flags.c_contiguous:
        return first, 1
    last = np.ascontiguousarray(images)
    return last.reshape(count, 1, height, width * channels), channels


def working_dtype(images: NDArray[Any]) -> type[np.floating[Any]]:
    """Return the dtype to compute in: float64 for images of float64, else float32."""
    return np.float64 if images.dtype == np.float64 else np.float32
