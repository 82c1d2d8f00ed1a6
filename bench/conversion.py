"""The floor: what it costs to read bytes and to write them as float32, and nothing else."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@numba.njit(nogil=True)
def convert(source, target):
    """Copy a flat array into another one of the same length."""
    for i in range(source.size):
        target[i] = source[i]


@numba.njit(nogil=True, parallel=True)
def convert_in_parallel(source, target):
    """Do the same with all threads."""
    for i in numba.prange(source.size):
        target[i] = source[i]


def conversion(images: Array, kernel: Any = convert):
    """Return a contender that converts a batch to float32, into memory that is used again."""
    source, batch = images.reshape(-1), np.empty(images.size, np.float32)

    def call(calls: int) -> Array:
        for _ in range(calls):
            kernel(source, batch)
        return batch.reshape(images.shape)

    return call
