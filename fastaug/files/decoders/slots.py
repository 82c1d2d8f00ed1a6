"""How the shared memory is divided: a note for each worker, a size and a slot for each image."""

from __future__ import annotations

import mmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOTE_NBYTES = 64  # for each worker, at the start of the shared memory; a cache line

SIZE_NBYTES = 8  # for each slot, behind that


class Slots(NamedTuple):
    """The arrays in the shared memory.

    A worker's note is 1 + the slot that it decodes now, or 0; `sizes` are the heights and widths of
    the images that lie in the slots.
    """

    notes: NDArray[np.int64]  # (workers,), each in a cache line of its own
    sizes: NDArray[np.int32]  # (slots, 2)
    pixels: NDArray[np.uint8]  # (slots, slot_nbytes)


def slots_nbytes(workers: int, slots: int, slot_nbytes: int) -> int:
    """Return how much memory `divide` divides."""
    return NOTE_NBYTES * workers + slots * (SIZE_NBYTES + slot_nbytes)


def divide(buffer: mmap.mmap, workers: int, slots: int, slot_nbytes: int) -> Slots:
    """Return the arrays in the shared memory."""
    behind_notes = workers * NOTE_NBYTES
    behind_sizes = behind_notes + slots * SIZE_NBYTES
    return Slots(
        np.frombuffer(buffer, np.int64, behind_notes // 8)[:: NOTE_NBYTES // 8],
        np.frombuffer(buffer, np.int32, 2 * slots, behind_notes).reshape(slots, 2),
        np.frombuffer(buffer, np.uint8, slots * slot_nbytes, behind_sizes).reshape(slots, -1),
    )
