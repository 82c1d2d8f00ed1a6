"""Memory for output batches: aligned, and used again when nobody holds the batch any more.

A fresh batch of 68 MB costs more in page faults than the kernel that fills it.  Knows no pixels.

    BatchBuffers --lend--> array over an anonymous mmap --> you, slices, tensors, DLPack capsules
         ^------ when the last of them is gone, a weak reference to the array says so ---'
"""

from __future__ import annotations

import mmap
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_MAX_BUFFERS = 6  # batches at the same time: one that is made, some ahead, one or two in use


class BatchBuffers:
    """Lends arrays, and lends their memory again when nothing shares it any more.

    NumPy lets every view keep the array alive that owns its memory.  These arrays are owned by no
    other array (their base is an `mmap`), so all views, and all tensors that share their memory,
    hold the lent array itself.  Safe for any number of threads.

    Only the last few arrays are kept track of; the memory of others is freed with them.
    Nothing of ours runs when that happens: TensorFlow drops batches in the middle of its own code,
    and a Ctrl-C that interrupts a function there is printed and otherwise ignored.
    """

    def __init__(self) -> None:
        self._buffers: deque[tuple[weakref.ref[NDArray[Any]], mmap.mmap]] = deque(
            maxlen=_MAX_BUFFERS
        )
        self._lock = threading.Lock()

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an uninitialised, C-contiguous array that starts at the beginning of a page.

        TensorFlow takes an array without a copy only where its memory starts at a multiple of 64.
        """
        dtype = np.dtype(dtype)
        nbytes = dtype.itemsize
        for size in shape:
            nbytes *= size
        with self._lock:
            memory = self._take(max(nbytes, 1))
            array = np.ndarray(shape, dtype, buffer=memory)
            self._buffers.append((weakref.ref(array), memory))
        return array

    def clear(self) -> None:
        """Let all memory go: what is free at once, what is lent with the last who holds it."""
        with self._lock:
            self._buffers.clear()

    def _take(self, nbytes: int) -> mmap.mmap:
        """Return free memory that is large enough, and not much too large, or new memory."""
        for number, (lent, memory) in enumerate(self._buffers):
            if lent() is None and nbytes <= len(memory) <= 4 * nbytes + mmap.PAGESIZE:
                del self._buffers[number]
                return memory
        return mmap.mmap(-1, nbytes)
