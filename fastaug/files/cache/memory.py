"""Decoded images kept in memory, so that from the second epoch on nothing is decoded.

    CacheBudget <-- MemoryStore, one per target <-- MemoryCache, one per iterator
    (bytes left)    (absolute path -> place)        (row -> place)

It knows nothing of decoding, batches or kernels.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.errors import users_stacklevel
from fastaug.files.catalog import FilePaths
from fastaug.files.target import Target
from fastaug.machine import default_cache_bytes

# Python names this flag of Linux on x86 and ARM since 3.12 only.  It keeps a large reservation from
# being refused; pages that are never written take no memory.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


class CacheBudget:
    """The bytes that all caches of a generator may take together.

    Parameters
    ----------
    nbytes
        How many.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.left = nbytes
        # Memory is given back by the garbage collector, which may run while this thread takes some.
        self._lock = threading.RLock()

    def take(self, nbytes: int) -> bool:
        """Take so many bytes, or none where fewer are left; return whether they were taken."""
        with self._lock:
            if nbytes > self.left:
                return False
            self.left -= nbytes
            return True

    def give(self, nbytes: int) -> None:
        """Give bytes back."""
        with self._lock:
            self.left += nbytes


class MemoryStore:
    """The images of all iterators that turn files into the same target, by absolute path.

    Its memory is reserved at the first image and taken place by place.  What is in it stays;
    all of it is freed, and given back to the budget, with the last array over it.

    Parameters
    ----------
    slot_shape, dtype
        Of one image: (height, width, channels).
    budget
        What it may take, together with the other stores of the generator.
    """

    def __init__(
        self, slot_shape: tuple[int, int, int], dtype: np.dtype[Any], budget: CacheBudget
    ) -> None:
        self.slot_shape = slot_shape
        self.dtype = np.dtype(dtype)
        self.slot_bytes = int(np.prod(slot_shape)) * self.dtype.itemsize
        self.budget = budget
        self.images = np.empty((0, *slot_shape), dtype)
        self.refusal = ""  # why there is no room for another image
        self.warned = False
        self._slots: NDArray[Any] | None = None
        self._paid_places = [0]  # how many; a list, shared with what gives their bytes back
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many images are kept."""
        return len(self._places)

    def find(self, path: str) -> int:
        """Return the place of a file's image, or -1."""
        return self._places.get(path, -1)

    def keep(self, path: str, image: NDArray[Any], files: int) -> int:
        """Copy an image to a place of its own, unless it has one.

        Parameters
        ----------
        path
            Absolute path of its file.
        image
            Pixels, copied.
        files
            How many places to reserve where the system can't reserve as many as the budget allows.

        Returns
        -------
        place
            -1 where there is no room; `refusal` says why.
        """
        with self._lock:
            place = self._places.get(path, -1)
            if place >= 0:
                return place
            place = len(self._places)
            if self.refusal or not self._has_room(place, files):
                return -1
            assert self._slots is not None
            self._slots[place] = image
            self._places[path] = place  # from now on others may read it
            return place

    def _has_room(self, place: int, files: int) -> bool:
        """Whether a place is there and paid for."""
        if self._slots is None:
            self._reserve(files)
        if place < self._paid_places[0]:
            return True  # paid for by an attempt that a Ctrl-C ended
        if not self.refusal:
            if place >= len(self.images) and self.budget.left >= self.slot_bytes:
                self.refusal = f"no more than {len(self.images):,} images could be reserved"
            elif not self.budget.take(self.slot_bytes):
                self.refusal = f"cache_bytes={self.budget.nbytes:,} is used up"
        if self.refusal:
            return False
        self._paid_places[0] += 1
        return True

    def _reserve(self, files: int) -> None:
        """Reserve as many places as the budget has bytes for, or at least one per file."""
        affordable = self.budget.left // self.slot_bytes
        if not affordable:
            return
        fewer = min(affordable, files)
        # Windows sets memory aside when it is reserved, not when it is written.
        for places in (fewer,) if os.name == "nt" else (affordable, fewer):
            try:
                memory = _anonymous_memory(places * self.slot_bytes)
            except (OSError, ValueError, OverflowError) as error:
                self.refusal = (
                    f"{_megabytes(places * self.slot_bytes)} of memory can't be reserved ({error})"
                )
                continue
            self.refusal = ""
            # The memory, not the store: an array over it may outlive both store and caches.
            give_back = partial(_give_back, self.budget, self._paid_places, self.slot_bytes)
            weakref.finalize(memory, give_back).atexit = False
            self._slots = np.frombuffer(memory, self.dtype).reshape(places, *self.slot_shape)
            images = self._slots.view()
            images.flags.writeable = False
            self.images = images
            return


class MemoryCache:
    """One data set's view of a store: an `ImageCache` in memory.

    Parameters
    ----------
    store
        Where the images are kept.
    filepaths
        Path of every row; relative ones are relative to the working folder of now.
    """

    def __init__(self, store: MemoryStore, filepaths: Sequence[str]) -> None:
        self._store: MemoryStore | None = store
        self._paths = FilePaths(filepaths)
        # Looked up once, a batch of 64 rows takes microseconds from then on.
        self._places = np.full(len(filepaths), -1, np.intp)

    @property
    def images(self) -> NDArray[Any]:
        """All places, (places, height, width, channels), contiguous, read-only."""
        if self._store is None:
            raise RuntimeError("the image cache is closed")
        return self._store.images

    def find(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the place in `images` of each row, (n,), -1 where it is not kept."""
        places = self._places[rows]
        store = self._store
        if store is None:
            places[:] = -1
        elif (places < 0).any():
            for i in np.flatnonzero(places < 0):
                row = int(rows[i])
                places[i] = self._places[row] = store.find(self._paths[row])
        return places

    def add(self, rows: NDArray[np.intp], images: NDArray[Any], picks: NDArray[np.intp]) -> None:
        """Keep copies of images, as far as there is room; a full cache warns once.

        Parameters
        ----------
        rows
            (n,) rows of the data set.
        images
            (any, height, width, channels), of the store's dtype; only read.
        picks
            (n,) which of `images` belongs to each row.
        """
        store = self._store
        if store is None or (store.refusal and store.warned):
            return
        for row, pick in zip(rows, picks, strict=True):
            place = store.keep(self._paths[row], images[pick], len(self._paths))
            if place < 0:
                self._warn(store)
                return
            self._places[row] = place

    def rest(self) -> None:
        """Do nothing: what is kept here can't be had again."""

    def close(self) -> None:
        """Let go of the store; nothing is found or kept any more."""
        self._store = None

    def _warn(self, store: MemoryStore) -> None:
        if store.warned:
            return
        store.warned = True
        count = len(self._paths)
        warnings.warn(
            f"the image cache in memory is full with {len(store):,} images "
            f"({_megabytes(len(store) * store.slot_bytes)}): {store.refusal}.  This data set has "
            f"{count:,} files, {_megabytes(count * store.slot_bytes)} when decoded; what does not "
            "fit is decoded in every epoch.  A larger cache_bytes, a smaller target_size or a "
            "cache on disk would hold more",
            RuntimeWarning,
            stacklevel=users_stacklevel(),
        )


class MemoryCaches:
    """The images that one generator keeps in memory, for all of its iterators.

    A copy of it, as `copy.deepcopy` of a generator makes one, begins empty.

    Parameters
    ----------
    nbytes
        What they may take together; None means half of what is free when the first one is opened.
    """

    def __init__(self, nbytes: int | None) -> None:
        self._nbytes = nbytes
        self._budget: CacheBudget | None = None
        self._stores: dict[Target, MemoryStore] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[MemoryCaches], tuple[int | None]]:
        return MemoryCaches, (self._nbytes,)

    def open(self, target: Target, filepaths: Sequence[str]) -> MemoryCache:
        """Return the view of an iterator whose files are turned into `target`."""
        with self._lock:
            if self._budget is None:
                self._budget = CacheBudget(self._nbytes or default_cache_bytes())
            if target not in self._stores:
                shape, dtype = target.slot_shape, target.slot_dtype
                self._stores[target] = MemoryStore(shape, dtype, self._budget)
            return MemoryCache(self._stores[target], filepaths)


def _anonymous_memory(nbytes: int) -> mmap.mmap:
    """Reserve zeroed memory that is taken page by page, as it is written."""
    if os.name == "nt":
        return mmap.mmap(-1, nbytes)
    # Huge pages would spare 5 of the 6 ms that it takes to fill 64 images of 299x299x3, once; they
    # are not read any faster.
    return mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)


def _give_back(budget: CacheBudget, taken: list[int], slot_bytes: int) -> None:
    budget.give(taken[0] * slot_bytes)


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 2**20:,.1f} MiB"
