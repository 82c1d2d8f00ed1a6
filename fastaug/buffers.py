"""Memory for output batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# TensorFlow takes a NumPy array without a copy only where its memory starts at a multiple of 64.
ALIGNMENT = 64


def empty_batch(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialised, C-contiguous array whose memory starts at a multiple of 64 bytes.

    It belongs to the caller; nothing here keeps or writes it again.
    """
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + nbytes].view(dtype).reshape(shape)
