"""Memory for output batches: aligned, and used again when nobody holds the batch any more.

A fresh batch of 68 MB costs more in page faults than the kernel that fills it.  Knows no pixels.

    BatchBuffers --lend--> array over an anonymous mmap --> you, slices, tensors, DLPack capsules
         ^------ when the last of them is gone: the weak reference to the array -------'
"""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_FREE_KEPT = 4  # batches in one piece of work: one that is made, one on its way, one in use


class BatchBuffers:
    """Lends arrays and takes their memory back when nothing shares it any more.

    NumPy lets every view keep the array alive that owns its memory.  These arrays are owned by no
    other array (their base is an `mmap`), so all views, and all tensors that share their memory,
    hold the lent array itself.  Safe for any number of threads.
    """

    def __init__(self) -> None:
        # Appended to by whoever drops a batch, at any time, in any thread: no lock may be needed.
        self._free: deque[mmap.mmap] = deque(maxlen=_FREE_KEPT)
        self._lent: dict[int, weakref.ref[NDArray[Any]]] = {}

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an uninitialised, C-contiguous array that starts at the beginning of a page.

        TensorFlow takes an array without a copy only where its memory starts at a multiple of 64.
        """
        dtype = np.dtype(dtype)
        nbytes = dtype.itemsize
        for size in shape:
            nbytes *= size
        memory = self._take(max(nbytes, 1))
        array = np.ndarray(shape, dtype, buffer=memory)
        key = id(memory)

        def take_back(_: Any, lent: Any = self._lent, free: Any = self._free) -> None:
            del lent[key]
            free.append(memory)

        self._lent[key] = weakref.ref(array, take_back)
        return array

    def _take(self, nbytes: int) -> mmap.mmap:
        """Return free memory that is large enough, and not much too large, or new memory."""
        for _ in range(len(self._free)):
            try:
                memory = self._free.popleft()
            except IndexError:  # another thread took it
                break
            if nbytes <= len(memory) <= 4 * nbytes + mmap.PAGESIZE:
                return memory
            self._free.append(memory)
        return mmap.mmap(-1, nbytes)
